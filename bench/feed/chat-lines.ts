/**
 * From a file to the lines that the feeder says. Three forms, told apart by how the file begins:
 *
 * - `Q,A,label`: a table of questions and answers as comma-separated values (RFC 4180). Each row is two lines of chat,
 *   the question and the answer; the label is left out.
 * - `Q`, `A`, `label`, each on a line of its own: the same table with one field a line. A quoted field that held commas
 *   goes over several lines, from the one that begins with a quote to the one that ends with one.
 * - anything else: every line is a line of chat.
 */

export interface ChatLines {
  format: "plain" | "csv" | "fields";
  /** Fit to be sent: trimmed, 1 to 500 code points, no control characters. */
  lines: string[];
  skippedBlank: number;
  /** Longer than a message may be. */
  skippedLong: number;
  /** Only in "fields": a label. */
  skippedLabels: number;
}

/** As in SendMessageRequest.text, in code points. */
const textLengthMax = 500;
/** A quoted field of "fields" goes over at most so many lines; a quote that does not end by then is text. */
const quotedLinesMax = 10;

/** @param content the whole file, as text; a byte order mark and \r\n are fine */
export function parseChatLines(content: string): ChatLines {
  const text = content.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n");
  if (/^Q,A,label(\n|$)/i.test(text)) {
    const rows = parseCsv(text).slice(1);
    return chatLines("csv", rows.flatMap(questionAndAnswer));
  }
  if (/^Q\nA\nlabel(\n|$)/i.test(text)) {
    const fields = joinQuotedFields(splitLines(text).slice(3));
    const said = fields.filter((field) => !isLabel(field));
    return { ...chatLines("fields", said), skippedLabels: fields.length - said.length };
  }
  return chatLines("plain", splitLines(text));
}

function chatLines(format: ChatLines["format"], texts: readonly string[]): ChatLines {
  const result: ChatLines = { format, lines: [], skippedBlank: 0, skippedLong: 0, skippedLabels: 0 };
  for (const text of texts) {
    // The gateway refuses control characters; in a file they are line breaks inside a quoted field, or dirt.
    const line = text.replace(/\p{Cc}+/gu, " ").trim();
    if (line === "") {
      result.skippedBlank += 1;
    } else if (line.length > textLengthMax && [...line].length > textLengthMax) {
      result.skippedLong += 1;
    } else {
      result.lines.push(line);
    }
  }
  return result;
}

/** Without the empty string behind the last line feed, which is no line. */
function splitLines(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") {
    lines.pop();
  }
  return lines;
}

function questionAndAnswer([question = "", answer = ""]: readonly string[]): string[] {
  return [question, answer];
}

/** The labels of the question-and-answer data: 0 everyday, 1 parting, 2 love. */
function isLabel(field: string): boolean {
  return /^\s*[012]\s*$/.test(field);
}

/**
 * RFC 4180, section 2: records by line breaks, fields by commas; a field in quotes may hold both, and a quote as two
 * quotes. Lenient: a quote inside a bare field is text, a quoted field that never ends goes to the end of the file, and
 * blank lines are no records.
 */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < text.length) {
    const { value, end } = text[at] === '"' ? quotedField(text, at) : bareField(text, at);
    row.push(value);
    at = end + 1;
    if (text[end] === ",") {
      if (at === text.length) {
        row.push("");
      }
      continue;
    }
    if (row.length > 1 || row[0] !== "") {
      rows.push(row);
    }
    row = [];
  }
  if (row.length > 0) {
    rows.push(row);
  }
  return rows;
}

interface Field {
  value: string;
  /** Where the comma or line break behind it stands; at most the length of the text. */
  end: number;
}

function bareField(text: string, start: number): Field {
  let end = start;
  while (end < text.length && text[end] !== "," && text[end] !== "\n") {
    end += 1;
  }
  return { value: text.slice(start, end), end };
}

function quotedField(text: string, start: number): Field {
  let close = text.indexOf('"', start + 1);
  while (close >= 0 && text[close + 1] === '"') {
    close = text.indexOf('"', close + 2);
  }
  if (close < 0) {
    return { value: text.slice(start + 1).replaceAll('""', '"'), end: text.length };
  }
  // What stands between the quote and the comma against the rule is kept as text.
  const rest = bareField(text, close + 1);
  return { value: text.slice(start + 1, close).replaceAll('""', '"') + rest.value, end: rest.end };
}

function joinQuotedFields(lines: readonly string[]): string[] {
  const fields: string[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] as string;
    const last = line.startsWith('"') ? closingLine(lines, at) : undefined;
    if (last === undefined) {
      fields.push(line);
    } else {
      // The commas at which the field was cut were followed by a space or not; in chat they are.
      const parts = lines.slice(at, last + 1).map((part) => part.trim());
      fields.push(parts.join(", ").slice(1, -1).replaceAll('""', '"'));
      at = last;
    }
  }
  return fields;
}

function closingLine(lines: readonly string[], first: number): number | undefined {
  const end = Math.min(lines.length, first + quotedLinesMax);
  for (let at = first; at < end; at += 1) {
    const line = (lines[at] as string).trimEnd();
    if (line.endsWith('"') && (at > first || line.length > 1)) {
      return at;
    }
  }
  return undefined;
}
