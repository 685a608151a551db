/** What every page of the repository points at must be there: files, scripts, and the tests that show a promise. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readResults } from "../faults/table/results.ts";
import { faultRows } from "../faults/table/rows.ts";
import { withFaultTable } from "../faults/table/table-page.ts";
import { readPage, root } from "./markdown.ts";

const pages = [...new Bun.Glob("{*.md,docs/**/*.md}").scanSync({ cwd: root })].sort();
const scripts = Object.keys(
  (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object }).scripts,
);

describe.each(pages)("%s", (path) => {
  const page = readPage(path);

  test("links to files that there are", () => {
    const missing = page.localLinks.filter((link) => !existsSync(join(root, dirname(path), link)));
    expect(missing).toEqual([]);
  });

  test("runs scripts that there are", () => {
    const named = [...page.text.matchAll(/bun run ([a-z][a-z:-]*)/g)].map((match) => match[1] as string);
    expect(named.filter((name) => !scripts.includes(name))).toEqual([]);
  });

  test("names files that there are", () => {
    const named = [...page.text.matchAll(/`((?:[a-z0-9-]+\/)+[\w.-]+\.(?:ts|tsx|proto|md|sh|py|txt))`/g)].map(
      (match) => match[1] as string,
    );
    expect(named.filter((name) => !existsSync(join(root, name)))).toEqual([]);
  });
});

/** A line of docs/guarantees.md: `  - storage/embedded.test.ts: "loses nothing", "doubles nothing"`. */
const evidenceForm = /^ {2}- `([^`]+)`: (".+")$/gm;

describe("docs/guarantees.md", () => {
  const page = readPage("docs/guarantees.md");
  const evidence = [...page.text.matchAll(evidenceForm)].map(([, file = "", names = ""]) => ({
    file,
    names: namesIn(names),
  }));

  test("shows every promise by a test", () => {
    const promises = page.text.split(/^- /m).slice(1);
    expect(promises.length).toBeGreaterThan(10);
    const unshown = promises.filter((promise) => !/^ {2}- `/m.test(promise)).map((promise) => promise.split("\n")[0]);
    expect(unshown).toEqual([]);
    // No line that looks like evidence was left unread.
    expect(evidence).toHaveLength(page.text.match(/^ {2}- /gm)?.length ?? 0);
  });

  test("shows of every row of the fault table what it found last; `bun run generate` writes it anew", () => {
    expect(page.text).toContain("<!-- fault table -->\n");
    expect(withFaultTable(page.text)).toBe(page.text);
    expect(Object.keys(readResults()).sort()).toEqual(faultRows.map(({ name }) => name).sort());
  });

  test.each(evidence)("names tests that are in $file", ({ file, names }) => {
    const code = readFileSync(join(root, file), "utf8");
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => !isTestIn(code, name))).toEqual([]);
  });
});

/** The quoted names of a line: "one", "two". */
function namesIn(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1] as string);
}

/** Whether a test has this name, written out or, before a value that is filled in, begun with it. */
function isTestIn(code: string, name: string): boolean {
  return [`"${name}"`, `\`${name}\``, `\`${name}\${`].some((literal) => code.includes(literal));
}
