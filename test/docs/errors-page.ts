/**
 * The page docs/errors.md, written from the gateway's own table of refusals: `bun run generate` writes it, and a test
 * fails where it is stale.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { refusalDomain, refusals } from "../../server/rpc/refusals.ts";

export const errorsPagePath = join(import.meta.dir, "../../docs/errors.md");

export function errorsPage(): string {
  const reasons = Object.entries(refusals).map(([reason, { code, when, remedy }]) => [
    `\`${reason}\``,
    `\`${codeName(code)}\` (${code})`,
    String(codeToHttpStatus(code)),
    when,
    remedy,
  ]);
  return `<!-- Written by \`bun run generate\` from server/rpc/refusals.ts. Do not edit. -->
# Every refusal

Each refusal carries a \`google.rpc.ErrorInfo\` with domain \`${refusalDomain}\` and one of these reasons, on gRPC, gRPC-Web and
Connect alike. \`google.rpc.BadRequest\` names the fields where fields are wrong, and \`google.rpc.RetryInfo\` says how long to
wait where waiting helps. The HTTP status is that of unary calls over Connect and of the rooms over REST.

${table([["Reason", "Code", "HTTP", "When", "What to do"], ...reasons])}

What is no call of ours at all is refused below that, without details:

${table([["What came", "Answer"], ...belowCalls])}
`;
}

/** Refusals of the transport and of the protocols; test/end-to-end/refusals.test.ts makes each of them happen. */
const belowCalls = [
  ["Bytes that are not HTTP", "HTTP 400, and the connection is closed"],
  ["Headers of more than 16 KiB over HTTP/1.1", "HTTP 431, and the connection is closed"],
  ["A connection that does not finish its first request head in time", "the connection is closed"],
  ["A request body that does not end in time", "the connection is closed; over HTTP/2 the stream is reset"],
  ["A service or method that does not exist, over gRPC or gRPC-Web", "`UNIMPLEMENTED` (12)"],
  ["A path that does not exist", "HTTP 404"],
  ["A content type that is no protocol of ours", "HTTP 415"],
  ["A two-way stream over HTTP/1.1", "HTTP 505"],
  ["A message that cannot be parsed as JSON", "`INVALID_ARGUMENT` (3)"],
  ["A message that cannot be parsed as protobuf", "`INTERNAL` (13), as in gRPC's own list of status codes"],
  ["A message above the limit (64 KiB unless set otherwise)", "`RESOURCE_EXHAUSTED` (8)"],
  ["A message marked as compressed where no compression was agreed", "`INTERNAL` (13)"],
  ["A compression that the gateway does not know", "`UNIMPLEMENTED` (12)"],
  ["A deadline that passes", "`DEADLINE_EXCEEDED` (4)"],
] as const;

/** A table of Markdown, the first row its head, columns padded as the formatter wants them. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[], filler: string) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0, filler)).join(" | ")} |`;
  const [head = [], ...body] = rows;
  const rule = widths.map(() => "");
  return [line(head, " "), line(rule, "-"), ...body.map((cells) => line(cells, " "))].join("\n");
}

/** RESOURCE_EXHAUSTED for Code.ResourceExhausted. */
function codeName(code: Code): string {
  return (Code[code] as string).replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

if (import.meta.main) {
  writeFileSync(errorsPagePath, errorsPage());
}
