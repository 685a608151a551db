/**
 * Fields into header blocks: HPACK (RFC 7541), the half that sends.
 *
 * It has no dynamic table, so it has no state: what the static table has is sent as an index, everything else as a
 * literal without indexing. A response's head is short, and a table of 4 kB for each connection is not.
 */
import { staticIndexOfName, staticTable } from "./hpack-static-table.ts";

/** The statuses that the static table has whole. */
const indexOfStatus: ReadonlyMap<number, number> = new Map(
  staticTable.flatMap(([name, value], place) => (name === ":status" ? [[Number(value), place + 1] as const] : [])),
);

/** The bytes that a length or an index may take beside its string: far more than a header needs. */
const integerBytesMax = 5;

/**
 * @param status :status; undefined: these are trailers
 * @param fields names in lower case; octets as characters
 */
export function encodeHeaderBlock(
  status: number | undefined,
  fields: Iterable<readonly [name: string, value: string]>,
): Buffer {
  const all = [...fields];
  let bytesMax = 1 + 3 + 3 * integerBytesMax;
  for (const [name, value] of all) {
    bytesMax += 2 * integerBytesMax + 1 + name.length + value.length;
  }
  const block = Buffer.allocUnsafe(bytesMax);
  let at = 0;
  if (status !== undefined) {
    const index = indexOfStatus.get(status);
    if (index === undefined) {
      at = writeField(block, at, ":status", String(status));
    } else {
      block[at++] = 0x80 | index;
    }
  }
  for (const [name, value] of all) {
    at = writeField(block, at, name, value);
  }
  return block.subarray(0, at);
}

/** A literal without indexing (RFC 7541, 6.2.2). */
function writeField(block: Buffer, offset: number, name: string, value: string): number {
  const index = staticIndexOfName.get(name) ?? 0;
  let at = writeInteger(block, offset, 0x00, 4, index);
  if (index === 0) {
    at = writeString(block, at, name);
  }
  return writeString(block, at, value);
}

/** Without Huffman coding. */
function writeString(block: Buffer, offset: number, text: string): number {
  const at = writeInteger(block, offset, 0x00, 7, text.length);
  return at + block.write(text, at, "latin1");
}

/** RFC 7541, 5.1. */
function writeInteger(block: Buffer, offset: number, pattern: number, prefixBits: number, value: number): number {
  const prefixMax = (1 << prefixBits) - 1;
  let at = offset;
  if (value < prefixMax) {
    block[at++] = pattern | value;
    return at;
  }
  block[at++] = pattern | prefixMax;
  let rest = value - prefixMax;
  while (rest >= 0x80) {
    block[at++] = 0x80 | (rest & 0x7f);
    rest >>>= 7;
  }
  block[at++] = rest;
  return at;
}
