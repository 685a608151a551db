/**
 * The envelopes of a streaming body: 1 byte of flags, 4 bytes of length, big endian, then the data (the Connect
 * protocol, "Enveloped-Message"; gRPC over HTTP/2, "Length-Prefixed-Message").
 */
export class EnvelopeStream {
  readonly #onEnvelope: (flags: number, data: Buffer) => void;
  #unread: Buffer = Buffer.alloc(0);

  constructor(onEnvelope: (flags: number, data: Buffer) => void) {
    this.#onEnvelope = onEnvelope;
  }

  push(chunk: Uint8Array): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    while (this.#unread.length >= 5) {
      const end = 5 + this.#unread.readUInt32BE(1);
      if (this.#unread.length < end) {
        return;
      }
      this.#onEnvelope(this.#unread.readUInt8(0), this.#unread.subarray(5, end));
      this.#unread = this.#unread.subarray(end);
    }
  }
}

/** One message in its envelope, not compressed. */
export function envelope(data: Uint8Array | string): Buffer<ArrayBuffer> {
  const bytes = Buffer.from(data);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}
