/**
 * Makes other people's text fit for a terminal, and text of our own pretty: no byte that a stranger wrote may move the
 * cursor, change colours or turn the line around. Owns nothing.
 */

/** How much the terminal can show. */
export interface TerminalStyle {
  /** SGR colour sequences are understood and wanted. */
  hasColour: boolean;
}

/**
 * The style for a stream: colour on a terminal, unless NO_COLOR is set (https://no-color.org: present and not empty) or
 * the terminal is a dumb one.
 */
export function styleFor(isTerminal: boolean, env: Record<string, string | undefined>): TerminalStyle {
  return { hasColour: isTerminal && !env.NO_COLOR && env.TERM !== "dumb" };
}

const lineBreaks = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/g;
/** C0, DEL and C1; of the last, U+009B alone is a CSI to some terminals. */
const controls = /\p{Cc}/gu;
/** Marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX #9, 2), and tag characters. */
const bidiAndTags = /[\p{Bidi_Control}\u{e0000}-\u{e007f}]/gu;
/** More than a handful of marks on one letter grows over the lines above and below. */
const markFlood = /(\p{M}{4})\p{M}+/gu;

/**
 * One line without any control or bidi character: ESC and the like become their pictures (␛), others U+FFFD.
 * @param lineBreak stands for line breaks and what a terminal may take for one
 */
export function safeLine(text: string, lineBreak = " "): string {
  return text
    .replace(lineBreaks, lineBreak)
    .replaceAll("\t", "  ")
    .replace(controls, pictureOf)
    .replace(bidiAndTags, "\ufffd")
    .replace(markFlood, "$1");
}

function pictureOf(control: string): string {
  const code = control.charCodeAt(0);
  if (code === 0x7f) {
    return "␡";
  }
  return code < 0x20 ? String.fromCodePoint(0x2400 + code) : "\ufffd";
}

/** The lines of a text, each safe. At least one. */
export function safeLines(text: string): string[] {
  return text.split(lineBreaks).map((line) => safeLine(line));
}

/** Columns that a text takes; wide characters (Hangul, emoji) take two. */
export function columnsOf(text: string): number {
  return Bun.stringWidth(text);
}

/** Rows that a line takes on a terminal of so many columns: a wide character that does not fit begins the next row. */
export function rowsOf(line: string, columns: number): number {
  let rows = 1;
  let column = 0;
  for (const { segment } of graphemes.segment(line)) {
    const width = columnsOf(segment);
    if (column + width > columns) {
      rows += 1;
      column = 0;
    }
    column += width;
  }
  return rows;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Fills up with spaces to so many columns. */
export function padded(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - columnsOf(text)));
}

const reset = "\x1b[0m";

export function bold(text: string, style: TerminalStyle): string {
  return style.hasColour ? `\x1b[1m${text}${reset}` : text;
}

export function dim(text: string, style: TerminalStyle): string {
  return style.hasColour ? `\x1b[2m${text}${reset}` : text;
}

export function red(text: string, style: TerminalStyle): string {
  return style.hasColour ? `\x1b[31m${text}${reset}` : text;
}

/** Of the 256-colour palette: far apart, and readable on black and on white. */
const authorColours = [33, 37, 64, 70, 97, 125, 130, 133, 160, 166, 172, 205];

/** The same colour for the same person, always and everywhere. */
export function inAuthorColour(text: string, author: string, style: TerminalStyle): string {
  return style.hasColour ? `\x1b[1;38;5;${chosen(authorColours, author)}m${text}${reset}` : text;
}

const avatars = ["🦊", "🐼", "🐯", "🐸", "🐙", "🦉", "🐧", "🐰", "🦁", "🐨", "🐳", "🦄"];

/** The same avatar for the same name. */
export function avatarFor(name: string): string {
  return chosen(avatars, name);
}

function chosen<T>(choices: readonly T[], key: string): T {
  return choices[Number(Bun.hash.xxHash32(key)) % choices.length] as T;
}
