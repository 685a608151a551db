/** The READMEs against the repository: what they name exists, and the two say the same. Their commands run in test/end-to-end. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pagesWithFigures, settings, settingsPage, settingsPagePath, withFigures } from "./generated-parts.ts";
import { readPage, root } from "./markdown.ts";

const english = readPage("README.md");
const korean = readPage("README.ko.md");

test("docs/settings.md says what the table of settings says; `bun run generate` writes it anew", () => {
  expect(settings().length).toBeGreaterThan(20);
  expect(readFileSync(settingsPagePath, "utf8")).toBe(settingsPage());
});

test("every figure is from the last run of the benchmarks; `bun run generate` writes them anew", () => {
  for (const [path, texts] of Object.entries(pagesWithFigures)) {
    const page = readFileSync(join(root, path), "utf8");
    expect(page).toContain("<!-- figures -->\n");
    expect(page).toContain("<!-- peers -->\n");
    expect(withFigures(page, texts)).toBe(page);
  }
});

test("the Korean page has the sections and the commands of the English one", () => {
  const levels = (page: typeof english) => page.headings.map((heading) => heading.split(" ")[0]);
  const commands = (page: typeof english) =>
    page.blocks.filter((block) => block.language === "sh").map(({ code }) => code);
  expect(levels(korean)).toEqual(levels(english));
  expect(commands(korean)).toEqual(commands(english));
  // The same links, but for the one to the other language.
  const links = (page: typeof english) => page.localLinks.filter((link) => !link.startsWith("README")).sort();
  expect(links(korean)).toEqual(links(english));
});

describe.each([
  ["README.md", english],
  ["README.ko.md", korean],
])("%s", (_path, page) => {
  test("shows commands of at most ten lines", () => {
    for (const { code } of page.blocks.filter((block) => block.language === "sh")) {
      expect(code.trimEnd().split("\n").length).toBeLessThanOrEqual(10);
    }
  });

  test("names settings with the defaults they have", () => {
    const rows = [...page.text.matchAll(/^\| (`--[^|]+) \| ([^|]*) \|/gm)];
    expect(rows.length).toBeGreaterThan(5);
    for (const [, flags = "", usual = ""] of rows) {
      for (const [, flag] of flags.matchAll(/`--([a-z-]+)`/g)) {
        const setting = settings().find((each) => each.flag === flag);
        expect({ flag, usual: usual.trim() || "none" }).toEqual({ flag, usual: setting ? quoted(setting.usual) : "?" });
      }
    }
  });

  test("names folders that there are", () => {
    const tree =
      page.blocks.find((block) => block.language === "text" && block.code.includes("proto/chat/v1/"))?.code ?? "";
    const folders = [...tree.matchAll(/(?:^| {2,})([a-z][a-z0-9/-]*\/)(?= )/gm)].map((match) => match[1] as string);
    expect(folders.length).toBeGreaterThan(7);
    expect(folders.filter((folder) => !existsSync(join(root, folder)))).toEqual([]);
  });
});

function quoted(usual: string): string {
  return usual === "none" ? usual : `\`${usual}\``;
}
