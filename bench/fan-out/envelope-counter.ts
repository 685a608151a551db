/**
 * Counts the messages in one reader's stream, as cheaply as it goes: it walks from envelope to envelope (1 byte of flags,
 * 4 bytes of length, big endian; the same on gRPC, gRPC-Web and Connect) and looks at nothing inside.
 *
 * The benchmark's messages all carry the same long text; room states, heartbeats and counts are shorter. So an envelope
 * of at least `messageBytesMin` is a message.
 */
export class EnvelopeCounter {
  /** Messages seen whole. */
  messages = 0;
  /** Envelopes that end the stream (gRPC-Web's trailers, 0x80; Connect's end of stream, 0x02). */
  endings = 0;
  readonly #messageBytesMin: number;
  readonly #prefix = Buffer.alloc(5);
  #prefixBytes = 0;
  /** Bytes of the open envelope that have not come yet. */
  #remaining = 0;

  constructor(messageBytesMin: number) {
    this.#messageBytesMin = messageBytesMin;
  }

  /** Takes the next bytes of the stream: `chunk` from `start` to before `end`. */
  push(chunk: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#remaining > 0) {
        const taken = Math.min(this.#remaining, end - at);
        this.#remaining -= taken;
        at += taken;
      } else if (this.#prefixBytes === 0 && end - at >= 5) {
        this.#open(chunk[at] as number, chunk.readUInt32BE(at + 1));
        at += 5;
      } else {
        this.#prefix[this.#prefixBytes++] = chunk[at++] as number;
        if (this.#prefixBytes === 5) {
          this.#prefixBytes = 0;
          this.#open(this.#prefix[0] as number, this.#prefix.readUInt32BE(1));
        }
      }
    }
  }

  /** Counted when it opens: the rest of it follows on the same connection. */
  #open(flags: number, length: number): void {
    this.#remaining = length;
    if ((flags & 0x82) !== 0) {
      this.endings++;
    } else if (length >= this.#messageBytesMin) {
      this.messages++;
    }
  }
}
