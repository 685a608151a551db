/** Reads the repository's pages as tests need them: their headings, their fenced blocks, their links. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dir, "../..");

export interface FencedBlock {
  /** The heading it stands under. */
  heading: string;
  /** What follows the opening fence: "sh". */
  language: string;
  code: string;
}

export interface MarkdownPage {
  /** "## Settings", in order. */
  headings: string[];
  blocks: FencedBlock[];
  /** Targets of links and pictures, without those of other sites and without the part after "#". */
  localLinks: string[];
  text: string;
}

/** @param path from the root of the repository */
export function readPage(path: string): MarkdownPage {
  return parsePage(readFileSync(join(root, path), "utf8"));
}

function parsePage(text: string): MarkdownPage {
  const headings: string[] = [];
  const blocks: FencedBlock[] = [];
  const prose: string[] = [];
  let open: { language: string; lines: string[] } | undefined;
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) {
      if (open) {
        blocks.push({ heading: headings.at(-1) ?? "", language: open.language, code: `${open.lines.join("\n")}\n` });
        open = undefined;
      } else {
        open = { language: line.slice(3).trim(), lines: [] };
      }
    } else if (open) {
      open.lines.push(line);
    } else {
      prose.push(line);
      if (/^#{1,6} /.test(line)) {
        headings.push(line);
      }
    }
  }
  const links = [...prose.join("\n").matchAll(/\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"/g)]
    .map((match) => (match[1] ?? match[2] ?? "").replace(/#.*$/, ""))
    .filter((target) => target !== "" && !/^[a-z]+:/.test(target));
  return { headings, blocks, localLinks: links, text };
}

/** A line of a table. */
export function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
