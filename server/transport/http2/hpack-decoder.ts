/**
 * Header blocks into fields: HPACK (RFC 7541), the half that receives.
 *
 * State: one connection's dynamic table, of at most `tableBytesMax` as RFC 7541, 4.1 counts them.
 */
import { ErrorCode, Http2ConnectionError } from "./frames.ts";
import { decodeHuffman } from "./hpack-huffman.ts";
import { staticTable } from "./hpack-static-table.ts";

type Field = readonly [name: string, value: string];

/** SETTINGS_HEADER_TABLE_SIZE, the default: we announce no other (RFC 9113, 6.5.2). */
const tableBytesMax = 4_096;

/** What an entry counts beside its name and value (RFC 7541, 4.1). */
const entryOverheadBytes = 32;

/** Integers are lengths and indices: none above this is right, and none of more than five octets is read. */
const integerMax = 2 ** 28;

export class HpackDecoder {
  /** Oldest first. Entries before `#oldest` are evicted. */
  #entries: Field[] = [];
  #oldest = 0;
  #tableBytes = 0;
  /** As the peer's encoder has set it. */
  #capacity = tableBytesMax;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;

  /**
   * Decodes one whole block.
   * @param onField each field, octets as characters
   * @throws {Http2ConnectionError} COMPRESSION_ERROR: the table is not in step any more
   */
  decode(block: Buffer, onField: (name: string, value: string) => void): void {
    this.#block = block;
    this.#at = 0;
    let mayResize = true;
    while (this.#at < block.length) {
      const octet = block[this.#at] as number;
      if (octet >= 0x80) {
        // Indexed (6.1).
        const [name, value] = this.#field(this.#integer(7));
        onField(name, value);
      } else if (octet >= 0x40) {
        // Literal with incremental indexing (6.2.1).
        const field = this.#literal(6);
        this.#add(field);
        onField(field[0], field[1]);
      } else if (octet >= 0x20) {
        // Dynamic table size update (6.3): only at the beginning of a block (4.2).
        if (!mayResize) {
          throw compressionError("a table size update between fields");
        }
        this.#resize(this.#integer(5));
        continue;
      } else {
        // Literal without indexing, or never indexed (6.2.2, 6.2.3).
        const [name, value] = this.#literal(4);
        onField(name, value);
      }
      mayResize = false;
    }
    this.#block = Buffer.alloc(0);
  }

  #literal(prefixBits: number): Field {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#string() : this.#field(index)[0];
    return [name, this.#string()];
  }

  #field(index: number): Field {
    const field =
      index <= staticTable.length
        ? staticTable[index - 1]
        : this.#entries[this.#entries.length - (index - staticTable.length)];
    if (field === undefined || this.#entries.length - this.#oldest < index - staticTable.length) {
      throw compressionError(`index ${index} is in no table`);
    }
    return field;
  }

  /** RFC 7541, 5.1. */
  #integer(prefixBits: number): number {
    const prefixMax = (1 << prefixBits) - 1;
    let value = this.#octet() & prefixMax;
    if (value < prefixMax) {
      return value;
    }
    for (let shift = 0; shift <= 21; shift += 7) {
      const octet = this.#octet();
      value += (octet & 0x7f) << shift;
      if (octet < 0x80) {
        return value;
      }
    }
    throw compressionError(`an integer above ${integerMax}`);
  }

  /** RFC 7541, 5.2. */
  #string(): string {
    const isHuffman = (this.#block[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(7);
    const from = this.#at;
    const end = from + length;
    if (end > this.#block.length) {
      throw compressionError("a string is cut off");
    }
    this.#at = end;
    const text = isHuffman ? decodeHuffman(this.#block, from, end) : this.#block.toString("latin1", from, end);
    if (text === undefined) {
      throw compressionError("a string is no Huffman code");
    }
    return text;
  }

  #octet(): number {
    const octet = this.#block[this.#at++];
    if (octet === undefined) {
      throw compressionError("the block is cut off");
    }
    return octet;
  }

  #add(field: Field): void {
    const bytes = entryBytes(field);
    // An entry that is larger than the table empties it and is not added (4.4).
    this.#evict(this.#capacity - bytes);
    if (bytes <= this.#capacity) {
      this.#entries.push(field);
      this.#tableBytes += bytes;
    }
  }

  #resize(capacity: number): void {
    if (capacity > tableBytesMax) {
      throw compressionError(`a table of ${capacity} bytes, the limit is ${tableBytesMax}`);
    }
    this.#capacity = capacity;
    this.#evict(capacity);
  }

  /** Takes out the oldest until at most `bytes` are left. */
  #evict(bytes: number): void {
    while (this.#tableBytes > bytes && this.#oldest < this.#entries.length) {
      this.#tableBytes -= entryBytes(this.#entries[this.#oldest++] as Field);
    }
    // The array is cut when half of it is gone, and not for every entry.
    if (this.#oldest * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#oldest);
      this.#oldest = 0;
    }
  }
}

function entryBytes([name, value]: Field): number {
  return name.length + value.length + entryOverheadBytes;
}

function compressionError(message: string): Http2ConnectionError {
  return new Http2ConnectionError(ErrorCode.COMPRESSION_ERROR, `HPACK: ${message}`);
}
