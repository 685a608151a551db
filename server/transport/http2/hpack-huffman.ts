/**
 * HPACK's Huffman code (RFC 7541, 5.2 and appendix B). The code is canonical: the shorter come first, and those of one
 * length are counted up in the order of their symbols, so the lengths alone give all of it.
 *
 * Decoding looks at eight bits at a time: a table has an entry for each of the 256, either a symbol with the bits that
 * it takes, or the table to go on in with the next eight.
 */

/** Bits of the code of each octet. EOS, the 257th symbol, has the last code, thirty ones. */
const codeLengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26,
];

const longestCode = 30;

/** An entry is `-(table + 1)`, or `symbol << 4 | bits of it in this table`; 0: no code begins so (EOS). */
const noSymbol = 0;

/** Tables of 256 entries, one after the other; the first is where a code begins. */
const tables: Int32Array = buildTables();

function buildTables(): Int32Array {
  const entries: number[] = new Array(256).fill(noSymbol);
  let code = 0;
  for (let length = 1; length <= longestCode; length++) {
    code *= 2;
    for (let symbol = 0; symbol < 256; symbol++) {
      if (codeLengths[symbol] === length) {
        insert(entries, symbol, code, length);
        code++;
      }
    }
  }
  return Int32Array.from(entries);
}

function insert(entries: number[], symbol: number, code: number, length: number): void {
  let table = 0;
  let rest = length;
  while (rest > 8) {
    rest -= 8;
    const at = table * 256 + ((code >>> rest) & 0xff);
    if (entries[at] === noSymbol) {
      entries[at] = -(entries.length / 256 + 1);
      entries.push(...new Array(256).fill(noSymbol));
    }
    table = -(entries[at] as number) - 1;
  }
  const first = (code << (8 - rest)) & 0xff;
  for (let following = 0; following < 1 << (8 - rest); following++) {
    entries[table * 256 + first + following] = (symbol << 4) | rest;
  }
}

/**
 * Decodes a Huffman-coded string into octets, one a character.
 * @returns undefined: EOS, or a padding that is longer than seven bits or not all ones (RFC 7541, 5.2)
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = "";
  let table = 0;
  /** Bits read and not used, and how many: at most 15. */
  let bits = 0;
  let bitCount = 0;
  /** Bits of the open code that were used up by tables before this one. */
  let codeBits = 0;
  for (let at = start; at < end; at++) {
    bits = ((bits << 8) | (bytes[at] as number)) & 0xffff;
    bitCount += 8;
    while (bitCount >= 8) {
      const entry = tables[table * 256 + ((bits >>> (bitCount - 8)) & 0xff)] as number;
      if (entry === noSymbol) {
        return undefined;
      }
      if (entry < 0) {
        table = -entry - 1;
        bitCount -= 8;
        codeBits += 8;
      } else {
        text += String.fromCharCode(entry >>> 4);
        bitCount -= entry & 0xf;
        table = 0;
        codeBits = 0;
      }
    }
  }
  // What is left is less than eight bits: symbols that are short enough, then the padding.
  while (bitCount > 0) {
    const padded = ((bits << (8 - bitCount)) | (0xff >>> bitCount)) & 0xff;
    const entry = tables[table * 256 + padded] as number;
    if (entry <= 0 || (entry & 0xf) > bitCount) {
      break;
    }
    text += String.fromCharCode(entry >>> 4);
    bitCount -= entry & 0xf;
    table = 0;
    codeBits = 0;
  }
  const ones = (1 << bitCount) - 1;
  return codeBits === 0 && (bits & ones) === ones ? text : undefined;
}
