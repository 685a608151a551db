/**
 * A proxy before Cassandra that reads what passes (CQL native protocol v4, section 2): it counts how often each row of the
 * history is written, and with what; it can delay answers, and swallow the answers to writes, so that a write was
 * made and its writer does not know. Owns its sockets and the count.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** version, flags, stream (2), opcode, length (4) */
const headBytes = 9;
const opcode = { result: 0x08, prepare: 0x09, execute: 0x0a, batch: 0x0d } as const;
const resultPrepared = 4;
/** A version above this has other frames. */
const versionMax = 4;
/** The columns of the history's primary key come first in its INSERT: room_id, era, bucket, epoch, seq. */
const keyColumns = 5;

interface WrittenRow {
  writes: number;
  /** What was written first, beside the key. */
  readonly content: string;
}

export class CqlProxy {
  /** Each answer comes so much later. */
  answerDelayMs = 0;
  /** Whether the answer to a write disappears; asked for each. */
  swallowsAnswer: (() => boolean) | undefined;
  /** Writes that found other content under their key. */
  differing = 0;
  /** Requests by the text of their statement; a statement in a batch counts as one. */
  readonly requests = new Map<string, number>();
  readonly #rows = new Map<string, WrittenRow>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  /** Prepared statements by their id, which the node makes from the text. */
  readonly #texts = new Map<string, string>();

  private constructor(targetPort: number) {
    this.#server = createServer((near) => {
      const far = connect({ host: "127.0.0.1", port: targetPort });
      const underWay = new Map<number, string>();
      const writes = new Set<number>();
      this.#pass(near, far, (frame) => {
        this.#asked(frame, underWay, writes);
        far.write(frame);
      });
      this.#pass(far, near, (frame) => {
        const stream = frame.readInt16BE(2);
        this.#answered(frame, underWay);
        if (writes.delete(stream) && this.swallowsAnswer?.()) {
          return;
        }
        if (this.answerDelayMs === 0) {
          near.write(frame);
        } else {
          setTimeout(() => near.writable && near.write(frame), this.answerDelayMs);
        }
      });
    });
  }

  static async start(targetPort: number): Promise<CqlProxy> {
    const proxy = new CqlProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Of the history: different rows, writes of all of them, rows that were written more than once, the most writes of one. */
  get written(): { rows: number; writes: number; again: number; most: number } {
    const counts = [...this.#rows.values()].map(({ writes }) => writes);
    return {
      rows: counts.length,
      writes: counts.reduce((sum, count) => sum + count, 0),
      again: counts.filter((count) => count > 1).length,
      most: counts.reduce((most, count) => Math.max(most, count), 0),
    };
  }

  /** Requests whose statement begins so. */
  count(statement: string): number {
    return [...this.requests].reduce((sum, [text, count]) => sum + (text.startsWith(statement) ? count : 0), 0);
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  #asked(frame: Buffer, underWay: Map<number, string>, writes: Set<number>): void {
    const stream = frame.readInt16BE(2);
    const body = new CqlReader(frame.subarray(headBytes));
    switch (frame[4]) {
      case opcode.prepare:
        underWay.set(stream, body.bytes(body.int()).toString());
        break;
      case opcode.execute: {
        const text = this.#texts.get(body.bytes(body.short()).toString("hex")) ?? "";
        body.skip(2);
        // <flags> says whether values follow.
        const values = (body.byte() & 1) === 1 ? body.values() : [];
        if (this.#ran(text, values)) {
          writes.add(stream);
        }
        break;
      }
      case opcode.batch: {
        body.skip(1);
        for (let left = body.short(); left > 0; left--) {
          const isPrepared = body.byte() === 1;
          const name = body.bytes(isPrepared ? body.short() : body.int());
          const text = isPrepared ? (this.#texts.get(name.toString("hex")) ?? "") : name.toString();
          if (this.#ran(text, body.values())) {
            writes.add(stream);
          }
        }
        break;
      }
    }
  }

  #answered(frame: Buffer, underWay: Map<number, string>): void {
    const stream = frame.readInt16BE(2);
    const text = underWay.get(stream);
    if (text === undefined) {
      return;
    }
    underWay.delete(stream);
    const body = new CqlReader(frame.subarray(headBytes));
    if (frame[4] === opcode.result && body.int() === resultPrepared) {
      this.#texts.set(body.bytes(body.short()).toString("hex"), text);
    }
  }

  /** @returns whether it writes */
  #ran(text: string, values: readonly string[]): boolean {
    this.requests.set(text, (this.requests.get(text) ?? 0) + 1);
    if (text.startsWith("INSERT INTO history ")) {
      const key = values.slice(0, keyColumns).join();
      const content = Bun.hash(values.slice(keyColumns).join()).toString(36);
      const row = this.#rows.get(key) ?? { writes: 0, content };
      row.writes += 1;
      this.differing += row.content === content ? 0 : 1;
      this.#rows.set(key, row);
    }
    return text.startsWith("INSERT");
  }

  #pass(from: Socket, to: Socket, take: (frame: Buffer) => void): void {
    this.#sockets.add(from);
    let rest: Buffer = Buffer.alloc(0);
    from.on("data", (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (rest.length >= headBytes && rest.length >= headBytes + rest.readInt32BE(5)) {
        const end = headBytes + rest.readInt32BE(5);
        const frame = rest.subarray(0, end);
        if (((frame[0] ?? 0) & 0x7f) > versionMax && frame[4] !== 0x01 && frame[4] !== 0x05 && frame[4] !== 0x00) {
          from.destroy(new Error("not a version of CQL that this proxy reads"));
          return;
        }
        take(frame);
        rest = rest.subarray(end);
      }
    });
    from.on("end", () => to.end());
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

/** The notations of the protocol, one after the other (section 3). */
class CqlReader {
  readonly #body: Buffer;
  #at = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  byte(): number {
    return this.#body.readUInt8(this.skip(1));
  }

  short(): number {
    return this.#body.readUInt16BE(this.skip(2));
  }

  int(): number {
    return this.#body.readInt32BE(this.skip(4));
  }

  bytes(length: number): Buffer {
    const from = this.skip(length);
    return this.#body.subarray(from, this.#at);
  }

  /** [short] n, then n [bytes]; null and unset are told by their negative length. */
  values(): string[] {
    return Array.from({ length: this.short() }, () => {
      const length = this.int();
      return length < 0 ? String(length) : this.bytes(length).toString("base64");
    });
  }

  /** @returns where it was */
  skip(bytes: number): number {
    const from = this.#at;
    this.#at += bytes;
    return from;
  }
}
