/**
 * Cuts one stream into its envelopes (1 byte of flags, 4 bytes of length, big endian, data; the same on gRPC, gRPC-Web and
 * Connect), as cheaply as it goes: an envelope that came whole is handed on where it lies, and only one that was cut is
 * copied. Owns the bytes of the open envelope.
 */

/** Far above every event; what claims to be longer is no event. */
const envelopeBytesMax = 4 * 1024 * 1024;

/** The marks of the envelope that ends a stream: gRPC-Web's trailers (0x80), Connect's end of stream (0x02). */
export const endingFlags = 0x82;

/** Takes one envelope: its data is `bytes` from `start` to before `end`, and theirs only during the call. */
export type TakeEnvelope = (flags: number, bytes: Buffer, start: number, end: number) => void;

export class EnvelopeReader {
  readonly #take: TakeEnvelope;
  readonly #prefix = Buffer.allocUnsafe(5);
  #prefixBytes = 0;
  /** Undefined: no envelope is open. */
  #data: Buffer | undefined;
  #dataBytes = 0;

  constructor(take: TakeEnvelope) {
    this.#take = take;
  }

  /**
   * Takes the next bytes of the stream: `chunk` from `start` to before `end`.
   * @throws {RangeError} for an envelope that is longer than 4 MiB
   */
  push(chunk: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#data) {
        const taken = Math.min(this.#data.length - this.#dataBytes, end - at);
        chunk.copy(this.#data, this.#dataBytes, at, at + taken);
        this.#dataBytes += taken;
        at += taken;
        this.#closeIfWhole();
      } else if (this.#prefixBytes === 0 && end - at >= 5) {
        const length = chunk.readUInt32BE(at + 1);
        if (at + 5 + length <= end) {
          this.#take(chunk[at] as number, chunk, at + 5, at + 5 + length);
          at += 5 + length;
        } else {
          chunk.copy(this.#prefix, 0, at, at + 5);
          at += 5;
          this.#open(length);
        }
      } else {
        this.#prefix[this.#prefixBytes++] = chunk[at++] as number;
        if (this.#prefixBytes === 5) {
          this.#open(this.#prefix.readUInt32BE(1));
        }
      }
    }
  }

  /** The prefix is whole, the data follows. */
  #open(length: number): void {
    if (length > envelopeBytesMax) {
      throw new RangeError(`an envelope of ${length} bytes, the limit is ${envelopeBytesMax}`);
    }
    this.#prefixBytes = 0;
    this.#data = Buffer.allocUnsafe(length);
    this.#dataBytes = 0;
    this.#closeIfWhole();
  }

  #closeIfWhole(): void {
    const data = this.#data;
    if (data && this.#dataBytes === data.length) {
      this.#data = undefined;
      this.#take(this.#prefix[0] as number, data, 0, data.length);
    }
  }
}

/** Puts data into an envelope without flags. */
export function envelopeOf(data: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(data.length, 1);
  return Buffer.concat([prefix, data]);
}
