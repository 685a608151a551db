import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { errorsPage, errorsPagePath } from "./errors-page.ts";

test("docs/errors.md says what the table of refusals says; `bun run generate` writes it anew", () => {
  expect(readFileSync(errorsPagePath, "utf8")).toBe(errorsPage());
});
