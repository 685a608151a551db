/** The pages of docs/experiments against the results they are made from. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { madePages } from "./experiment-parts.ts";
import { root } from "./markdown.ts";

test.each(madePages)("$path is of the last run; `bun run generate` writes it anew", ({ path, make }) => {
  const present = readFileSync(join(root, path), "utf8");
  expect(make(present)).toBe(present);
});
