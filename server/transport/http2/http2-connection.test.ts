import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { GatherBuffer } from "./connection-output.ts";
import { FakeSocket } from "./fake-socket.ts";
import { clientPreface, ErrorCode, FrameType, frameHeadBytes } from "./frames.ts";
import { Http2Connection, type Http2Limits } from "./http2-connection.ts";
import type { Http2Stream } from "./http2-stream.ts";

const limits: Http2Limits = {
  openingTimeoutMs: 10_000,
  requestBodyTimeoutMs: 10_000,
  idleTimeoutMs: 10_000,
  headerBytesMax: 4_096,
  streamsPerConnectionMax: 3,
};

/** Bytes as they stand in a specification; blanks are for the eye. */
const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s/g, ""), "hex");

/** SETTINGS without entries, what every client says after its preface. */
const settings = bytes("000000 04 00 00000000");
const opening = Buffer.concat([clientPreface, settings]);

/** :method POST, :scheme http, :path /, :authority a (RFC 7541: indexed, and one literal without indexing). */
const headerBlock = "83 86 84 01 01 61";
const id = (streamId: number) => streamId.toString(16).padStart(8, "0");
/** HEADERS with END_HEADERS; the request's body is to come. */
const headers = (streamId: number) => bytes(`000006 01 04 ${id(streamId)} ${headerBlock}`);
/** HEADERS with END_HEADERS and END_STREAM. */
const request = (streamId: number) => bytes(`000006 01 05 ${id(streamId)} ${headerBlock}`);
const reset = (streamId: number) => bytes(`000004 03 00 ${id(streamId)} 00000008`);
const windowUpdate = (streamId: number, increment: number) => bytes(`000004 08 00 ${id(streamId)} ${id(increment)}`);
/** SETTINGS with SETTINGS_INITIAL_WINDOW_SIZE. */
const initialWindow = (size: number) => bytes(`000006 04 00 00000000 0004 ${id(size)}`);

const repeated = (count: number, frame: Buffer) => Buffer.concat(new Array(count).fill(frame));

/** One shared DATA frame of no stream yet. */
function shared(payload: string): Buffer {
  return bytes(
    `${payload.length.toString(16).padStart(6, "0")} 00 00 00000000 ${Buffer.from(payload).toString("hex")}`,
  );
}

/** A connection that has said hello. */
function open(changes: Partial<Http2Limits> = {}) {
  const fake = new FakeSocket();
  const streams: Http2Stream[] = [];
  let ended = 0;
  const connection = new Http2Connection(fake.socket, {
    limits: { ...limits, ...changes },
    gather: new GatherBuffer(),
    isEncrypted: false,
    isLongUpload: () => false,
    onStream: (stream) => streams.push(stream),
    onStreamEnd: () => {
      ended++;
    },
  });
  /** Receives frames and lets the turn end, so that what they are answered has gone out. */
  const receive = async (...frames: Uint8Array[]) => {
    fake.receive(Buffer.concat(frames));
    await turn();
  };
  const of = (type: number) => fake.frames.filter((frame) => frame.type === type);
  return {
    fake,
    connection,
    streams,
    receive,
    of,
    data: (streamId: number) =>
      Buffer.concat(
        of(FrameType.DATA).flatMap((each) => (each.streamId === streamId ? [each.payload] : [])),
      ).toString(),
    get ended() {
      return ended;
    },
    /** The code of the GOAWAY that was sent last; undefined: none was. */
    get goAwayCode() {
      return of(FrameType.GOAWAY).at(-1)?.payload.readUInt32BE(4);
    },
    /** Stream ids and codes of the resets sent. */
    get resets() {
      return of(FrameType.RST_STREAM).map(({ streamId, payload }) => [streamId, payload.readUInt32BE(0)]);
    },
  };
}

/** What is queued in a turn goes out at its end. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function readAll(stream: Http2Stream): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) {
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

describe("a request", () => {
  test("is answered with head, body and trailers as one write", async () => {
    const { fake, streams, receive, of } = open();
    await receive(opening, request(1));
    const [stream] = streams as [Http2Stream];
    expect(stream.head).toMatchObject({ method: "POST", scheme: "http", path: "/", authority: "a", fields: [] });
    const before = fake.writes.length;
    stream.respond(200, [["content-type", "a/b"]]);
    stream.send(Buffer.from("hello"));
    stream.end([["grpc-status", "0"]]);
    await turn();
    // A fake has no native socket, so it keeps what it was gathered: one write.
    expect(fake.writes.length).toBe(before + 1);
    const [head, trailers] = of(FrameType.HEADERS);
    // :status 200 (index 8), content-type (index 31) without indexing.
    expect(head).toMatchObject({ streamId: 1, flags: 0x4, payload: bytes("88 0f 10 03 612f62") });
    expect(of(FrameType.DATA)).toMatchObject([{ streamId: 1, flags: 0, payload: Buffer.from("hello") }]);
    expect(trailers).toMatchObject({ streamId: 1, flags: 0x5 });
  });

  test("has its body from DATA, padding left out, and ends with trailers too (RFC 9113, 6.1 and 8.1)", async () => {
    const { streams, receive } = open();
    await receive(opening, headers(1), bytes("000005 00 08 00000001 02 6869 0000"), bytes("000001 01 05 00000001 87"));
    // The trailer is a pseudo-field: malformed.
    await expect(readAll(streams[0] as Http2Stream)).rejects.toThrow();
    await receive(
      headers(3),
      bytes("000005 00 08 00000003 02 6869 0000"),
      bytes("000005 01 05 00000003 00 01 61 01 62"),
    );
    expect(await readAll(streams[1] as Http2Stream)).toBe("hi");
  });

  test("comes whole however its bytes are cut, and its header block over CONTINUATION too (6.10)", async () => {
    const whole = Buffer.concat([
      opening,
      bytes("000002 01 00 00000001 83 86"),
      bytes("000003 09 00 00000001 84 01 01"),
      bytes("000001 09 04 00000001 61"),
      bytes("000002 00 01 00000001 6869"),
    ]);
    for (let size = 1; size <= whole.length; size++) {
      const { fake, streams } = open();
      for (let at = 0; at < whole.length; at += size) {
        fake.receive(whole.subarray(at, at + size));
      }
      expect(await readAll(streams[0] as Http2Stream)).toBe("hi");
    }
  });

  test("that is answered before it has ended is cut off without an error, after the answer (8.1)", async () => {
    const { streams, receive, fake } = open();
    await receive(opening, headers(1));
    streams[0]?.respond(200, []);
    streams[0]?.end();
    await turn();
    expect(fake.frames.slice(-2)).toMatchObject([
      { type: FrameType.DATA, flags: 1 },
      { type: FrameType.RST_STREAM, payload: bytes("00000000") },
    ]);
    // What the client sent meanwhile is not held against it.
    await receive(bytes("000002 00 01 00000001 6869"), request(3));
    expect(streams.length).toBe(2);
  });

  test("that waits for 100 is told so (RFC 9110, 10.1.1)", async () => {
    const { receive, of } = open();
    const expects = `0f 14 0c ${Buffer.from("100-continue").toString("hex")}`;
    await receive(opening, bytes(`000015 01 04 00000001 ${headerBlock} ${expects}`));
    expect(of(FrameType.HEADERS)).toMatchObject([{ streamId: 1, flags: 0x4, payload: bytes("08 03 313030") }]);
  });

  test("whose client resets it breaks off, body and all", async () => {
    const { streams, receive } = open();
    await receive(opening, headers(1));
    const [stream] = streams as [Http2Stream];
    const body = readAll(stream).catch((error: Error) => error);
    let closedBy: unknown;
    stream.onClose((error) => {
      closedBy = error;
    });
    await receive(reset(1));
    expect(closedBy).toMatchObject({ errorCode: ErrorCode.CANCEL });
    expect(await body).toBe(closedBy as Error);
    expect(stream.send(Buffer.from("late"))).toBe(false);
    expect(stream.write(shared("late"))).toBe(false);
  });
});

describe("a connection ends with the code of", () => {
  const broken: Record<string, [code: number, frames: Buffer]> = {
    "PROTOCOL_ERROR where DATA is on stream 0 (6.1)": [ErrorCode.PROTOCOL_ERROR, bytes("000001 00 00 00000000 61")],
    "PROTOCOL_ERROR where DATA is on an idle stream (5.1)": [
      ErrorCode.PROTOCOL_ERROR,
      bytes("000001 00 00 00000001 61"),
    ],
    "PROTOCOL_ERROR where padding is longer than DATA (6.1)": [
      ErrorCode.PROTOCOL_ERROR,
      Buffer.concat([headers(1), bytes("000002 00 08 00000001 02 61")]),
    ],
    "PROTOCOL_ERROR where HEADERS is on an even stream (5.1.1)": [ErrorCode.PROTOCOL_ERROR, headers(2)],
    "STREAM_CLOSED where HEADERS is on a stream that ended (5.1)": [
      ErrorCode.STREAM_CLOSED,
      Buffer.concat([request(1), request(1)]),
    ],
    "PROTOCOL_ERROR where a header block is interrupted (6.10)": [
      ErrorCode.PROTOCOL_ERROR,
      Buffer.concat([bytes("000001 01 00 00000001 83"), settings]),
    ],
    "PROTOCOL_ERROR where CONTINUATION continues nothing (6.10)": [
      ErrorCode.PROTOCOL_ERROR,
      bytes("000001 09 04 00000001 83"),
    ],
    "COMPRESSION_ERROR where a header block is broken (4.3)": [
      ErrorCode.COMPRESSION_ERROR,
      bytes("000001 01 05 00000001 80"),
    ],
    "FRAME_SIZE_ERROR where a frame is longer than 2^14 (4.2)": [
      ErrorCode.FRAME_SIZE_ERROR,
      bytes("004001 00 00 00000001"),
    ],
    "PROTOCOL_ERROR where PRIORITY is on stream 0 (6.3)": [
      ErrorCode.PROTOCOL_ERROR,
      bytes("000005 02 00 00000000 00000003 00"),
    ],
    "FRAME_SIZE_ERROR where RST_STREAM is cut off (6.4)": [
      ErrorCode.FRAME_SIZE_ERROR,
      bytes("000003 03 00 00000001 000000"),
    ],
    "PROTOCOL_ERROR where an idle stream is reset (6.4)": [ErrorCode.PROTOCOL_ERROR, reset(1)],
    "FRAME_SIZE_ERROR where SETTINGS is no multiple of six (6.5)": [
      ErrorCode.FRAME_SIZE_ERROR,
      bytes("000001 04 00 00000000 00"),
    ],
    "FRAME_SIZE_ERROR where an ACK of SETTINGS has entries (6.5)": [
      ErrorCode.FRAME_SIZE_ERROR,
      bytes("000006 04 01 00000000 0004 00000001"),
    ],
    "PROTOCOL_ERROR where ENABLE_PUSH is neither 0 nor 1 (6.5.2)": [
      ErrorCode.PROTOCOL_ERROR,
      bytes("000006 04 00 00000000 0002 00000002"),
    ],
    "FLOW_CONTROL_ERROR where a window is announced above 2^31-1 (6.5.2)": [
      ErrorCode.FLOW_CONTROL_ERROR,
      initialWindow(2 ** 31),
    ],
    "PROTOCOL_ERROR where frames are announced below 2^14 (6.5.2)": [
      ErrorCode.PROTOCOL_ERROR,
      bytes("000006 04 00 00000000 0005 00003fff"),
    ],
    "PROTOCOL_ERROR where a client pushes (6.6)": [ErrorCode.PROTOCOL_ERROR, bytes("000004 05 04 00000001 00000002")],
    "FRAME_SIZE_ERROR where PING is not eight bytes (6.7)": [
      ErrorCode.FRAME_SIZE_ERROR,
      bytes("000001 06 00 00000000 00"),
    ],
    "PROTOCOL_ERROR where PING is on a stream (6.7)": [
      ErrorCode.PROTOCOL_ERROR,
      bytes("000008 06 00 00000001 0000000000000000"),
    ],
    "PROTOCOL_ERROR where the connection's window grows by nothing (6.9)": [
      ErrorCode.PROTOCOL_ERROR,
      windowUpdate(0, 0),
    ],
    "FLOW_CONTROL_ERROR where the connection's window passes 2^31-1 (6.9.1)": [
      ErrorCode.FLOW_CONTROL_ERROR,
      windowUpdate(0, 2 ** 31 - 1),
    ],
    "FLOW_CONTROL_ERROR where SETTINGS lets a stream's window pass 2^31-1 (6.9.2)": [
      ErrorCode.FLOW_CONTROL_ERROR,
      Buffer.concat([headers(1), windowUpdate(1, 2 ** 31 - 1 - 65_535), initialWindow(65_536)]),
    ],
  };
  for (const [what, [code, frames]] of Object.entries(broken)) {
    test(what, async () => {
      const peer = open();
      await peer.receive(opening, frames);
      expect(peer.goAwayCode).toBe(code);
      expect(peer.fake.hasEnded).toBe(true);
      expect(peer.ended).toBe(peer.streams.length);
    });
  }

  test("PROTOCOL_ERROR where the preface is another, or its SETTINGS is missing (3.4)", async () => {
    for (const start of [Buffer.from("PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n"), Buffer.concat([clientPreface, request(1)])]) {
      const peer = open();
      await peer.receive(start);
      expect(peer.goAwayCode).toBe(ErrorCode.PROTOCOL_ERROR);
    }
  });
});

describe("a stream is cut off, and its connection goes on, where", () => {
  const cut: Record<string, [code: number, frames: Buffer]> = {
    "its window grows by nothing (6.9)": [ErrorCode.PROTOCOL_ERROR, Buffer.concat([headers(1), windowUpdate(1, 0)])],
    "its window passes 2^31-1 (6.9.1)": [
      ErrorCode.FLOW_CONTROL_ERROR,
      Buffer.concat([headers(1), windowUpdate(1, 2 ** 31 - 1)]),
    ],
    "DATA comes after its end (5.1)": [
      ErrorCode.STREAM_CLOSED,
      Buffer.concat([request(1), bytes("000001 00 00 00000001 61")]),
    ],
    "a name has a capital (8.2.1)": [
      ErrorCode.PROTOCOL_ERROR,
      bytes(`00000b 01 05 00000001 ${headerBlock} 00 01 41 01 61`),
    ],
    "a value has a line break (8.2.1)": [
      ErrorCode.PROTOCOL_ERROR,
      bytes(`00000b 01 05 00000001 ${headerBlock} 00 01 61 01 0a`),
    ],
    "te is not trailers (8.2.2)": [
      ErrorCode.PROTOCOL_ERROR,
      bytes(`00000c 01 05 00000001 ${headerBlock} 00 02 7465 01 61`),
    ],
    "a pseudo-field is twice there (8.3)": [ErrorCode.PROTOCOL_ERROR, bytes(`000007 01 05 00000001 ${headerBlock} 83`)],
    ":path is missing (8.3.1)": [ErrorCode.PROTOCOL_ERROR, bytes("000002 01 05 00000001 83 86")],
    // content-length (index 28) is 2, and 1 byte comes.
    "content-length says another length (8.1.1)": [
      ErrorCode.PROTOCOL_ERROR,
      Buffer.concat([bytes(`00000a 01 04 00000001 ${headerBlock} 0f 0d 01 32`), bytes("000001 00 01 00000001 61")]),
    ],
    "DATA is more than its window (6.9.1)": [
      ErrorCode.FLOW_CONTROL_ERROR,
      Buffer.concat([headers(1), repeated(4, bytes(`004000 00 00 00000001 ${"61".repeat(16_384)}`))]),
    ],
  };
  for (const [what, [code, frames]] of Object.entries(cut)) {
    test(what, async () => {
      const peer = open();
      await peer.receive(opening, frames);
      expect(peer.resets).toEqual([[1, code]]);
      await peer.receive(request(3));
      expect(peer.streams.at(-1)?.id).toBe(3);
      expect(peer.goAwayCode).toBeUndefined();
    });
  }
});

describe("limits", () => {
  test("one stream too many is refused, and may be tried again when another has ended (5.1.2)", async () => {
    const peer = open();
    await peer.receive(opening, request(1), request(3), request(5), request(7));
    expect(peer.resets).toEqual([[7, ErrorCode.REFUSED_STREAM]]);
    await peer.receive(reset(1), request(9));
    expect(peer.streams.map((stream) => stream.id)).toEqual([1, 3, 5, 9]);
  });

  test("a head above the limit gets 431, and the tables stay in step (RFC 6585, 5)", async () => {
    const { receive, of, streams } = open();
    // A literal with indexing of 1,000 bytes, then five times the same by its index.
    const large = `40 01 61 7f e9 06 ${"62".repeat(1_000)}`;
    const block = bytes(`${headerBlock} ${large} ${"be".repeat(5)}`);
    await receive(opening, bytes(`${block.length.toString(16).padStart(6, "0")} 01 05 00000001`), block);
    expect(of(FrameType.HEADERS)).toMatchObject([{ streamId: 1, flags: 0x5, payload: bytes("08 03 343331") }]);
    await receive(bytes(`000007 01 05 00000003 ${headerBlock} be`));
    expect(streams[0]?.head.field("a")).toBe("b".repeat(1_000));
  });

  test("a body that stops is cut off at its deadline, and a connection without streams at its own", async () => {
    const peer = open();
    await peer.receive(opening, headers(1));
    peer.connection.sweep(performance.now() + limits.requestBodyTimeoutMs + 1);
    await turn();
    expect(peer.resets).toEqual([[1, ErrorCode.CANCEL]]);
    expect(peer.fake.isDestroyed).toBe(false);
    peer.connection.sweep(performance.now() + limits.idleTimeoutMs + 1);
    expect(peer.fake.isDestroyed).toBe(true);
  });

  test("a peer that does not read what it makes us say is let go", async () => {
    const peer = open();
    await peer.receive(opening);
    peer.fake.isFull = true;
    for (let index = 0; index < 1_200 && peer.goAwayCode === undefined; index++) {
      const streamId = 2 * index + 1;
      peer.fake.receive(request(streamId));
      peer.streams.at(-1)?.respond(200, [["a", "b".repeat(1_000)]]);
      await peer.receive(reset(streamId));
    }
    expect(peer.goAwayCode).toBe(ErrorCode.ENHANCE_YOUR_CALM);
  });

  test("WINDOW_UPDATE and PING that answer what is delivered are no flood", async () => {
    const peer = open();
    await peer.receive(opening, windowUpdate(0, 2 ** 30), request(1), windowUpdate(1, 2 ** 30));
    for (let message = 0; message < 20_000; message++) {
      peer.streams[0]?.write(shared("hello"));
      peer.fake.receive(Buffer.concat([windowUpdate(0, 5), windowUpdate(1, 5)]));
    }
    await turn();
    expect(peer.goAwayCode).toBeUndefined();
  });
});

test("a response of which the peer takes nothing is cut off, one that is taken slowly is not", async () => {
  const peer = open();
  await peer.receive(opening, initialWindow(2), request(1), request(3));
  for (const stream of peer.streams) {
    stream.respond(200, []);
    stream.send(Buffer.from("answer"));
    stream.end();
  }
  const begin = performance.now();
  await peer.receive(windowUpdate(3, 1));
  peer.connection.sweep(begin + limits.idleTimeoutMs);
  await turn();
  expect(peer.resets).toEqual([[1, ErrorCode.CANCEL]]);
});

describe("a connection ends for a flood of", () => {
  const floods: Record<string, Buffer> = {
    "resets of streams just opened (CVE-2023-44487)": Buffer.concat(
      Array.from({ length: 3_000 }, (_, index) => [request(2 * index + 1), reset(2 * index + 1)]).flat(),
    ),
    "streams that we have to reset (CVE-2025-8671)": Buffer.concat(
      Array.from({ length: 3_000 }, (_, index) => [headers(2 * index + 1), windowUpdate(2 * index + 1, 0)]).flat(),
    ),
    "streams beyond the limit": Buffer.concat(Array.from({ length: 3_000 }, (_, index) => request(2 * index + 1))),
    "empty CONTINUATION frames (CVE-2024-27983)": Buffer.concat([
      bytes(`000006 01 00 00000001 ${headerBlock}`),
      repeated(1_000, bytes("000000 09 00 00000001")),
    ]),
    "a header block without end": Buffer.concat([
      bytes(`000006 01 00 00000001 ${headerBlock}`),
      repeated(3, bytes(`002000 09 00 00000001 ${"00".repeat(8_192)}`)),
    ]),
    "PING (CVE-2019-9512)": repeated(11_000, bytes("000008 06 00 00000000 0000000000000000")),
    "SETTINGS (CVE-2019-9515)": repeated(11_000, settings),
    "PRIORITY (CVE-2019-9513)": repeated(11_000, bytes("000005 02 00 00000001 00000003 00")),
    "empty DATA (CVE-2019-9518)": Buffer.concat([headers(1), repeated(11_000, bytes("000000 00 00 00000001"))]),
    WINDOW_UPDATE: Buffer.concat([headers(1), repeated(11_000, windowUpdate(1, 1))]),
    "frames that nobody knows": repeated(11_000, bytes("000000 7f 00 00000000")),
  };
  for (const [what, frames] of Object.entries(floods)) {
    test(what, async () => {
      const peer = open();
      await peer.receive(opening, frames);
      expect(peer.goAwayCode).toBe(ErrorCode.ENHANCE_YOUR_CALM);
      expect(peer.ended).toBe(peer.streams.length);
    });
  }
});

describe("windows", () => {
  test("of a stream are kept to the byte, and what waits goes out as they open (6.9)", async () => {
    const { streams, receive, data, of } = open();
    await receive(opening, initialWindow(5), request(1));
    const [stream] = streams as [Http2Stream];
    let drained = 0;
    stream.onDrain(() => {
      drained++;
    });
    stream.respond(200, []);
    expect(stream.write(shared("12345"))).toBe(true);
    expect(stream.write(shared("678"))).toBe(false);
    expect(stream.write(shared("9"))).toBe(false);
    expect(stream.bufferedBytes).toBe(4);
    stream.end([["a", "b"]]);
    await receive(windowUpdate(1, 3));
    expect(data(1)).toBe("12345678");
    expect(drained).toBe(0);
    await receive(windowUpdate(1, 10));
    expect(data(1)).toBe("123456789");
    // The trailers, which no window holds up, are the last.
    expect(of(FrameType.HEADERS).at(-1)).toMatchObject({ flags: 0x5 });
  });

  test("of the connection are shared by its streams, which take turns", async () => {
    const { streams, receive, data } = open();
    await receive(opening, initialWindow(2 ** 20), request(1), request(3));
    for (const stream of streams) {
      stream.respond(200, []);
      expect(stream.send(Buffer.alloc(60_000, "x"))).toBe(stream.id === 1);
    }
    await turn();
    expect([data(1).length, data(3).length]).toEqual([60_000, 5_535]);
    let drained = 0;
    for (const stream of streams) {
      stream.onDrain(() => {
        drained += stream.id;
      });
    }
    streams[0]?.send(Buffer.alloc(20_000, "x"));
    await receive(windowUpdate(0, 40_000));
    expect(data(1).length).toBeGreaterThan(60_000);
    expect(data(3).length).toBeGreaterThan(5_535);
    expect(data(1).length + data(3).length).toBe(105_535);
    await receive(windowUpdate(0, 2 ** 20));
    expect([data(1).length, data(3).length]).toEqual([80_000, 60_000]);
    expect(drained).toBe(4);
  });

  test("that SETTINGS makes negative are waited for (6.9.2)", async () => {
    const { streams, receive, data } = open();
    await receive(opening, request(1));
    const [stream] = streams as [Http2Stream];
    expect(stream.write(shared("1234"))).toBe(true);
    await receive(initialWindow(2));
    expect(stream.write(shared("5"))).toBe(false);
    await receive(windowUpdate(1, 2));
    expect(data(1)).toBe("1234");
    await receive(windowUpdate(1, 1));
    expect(data(1)).toBe("12345");
  });

  test("are given back for what was read, and the connection's for what has come (6.9.1)", async () => {
    const { streams, receive, of } = open();
    await receive(opening, headers(1), repeated(3, bytes(`004000 00 00 00000001 ${"61".repeat(16_384)}`)));
    const updates = () => of(FrameType.WINDOW_UPDATE).filter(({ streamId }) => streamId === 1);
    expect(updates()).toEqual([]);
    const [stream] = streams as [Http2Stream];
    for (let part = 0; part < 3; part++) {
      await stream.next();
    }
    await turn();
    expect(updates().map(({ payload }) => payload.readUInt32BE(0))).toEqual([32_768]);
  });
});

describe("what the hub delivers", () => {
  test("is one buffer, into which each stream writes its id", async () => {
    const { streams, receive, fake } = open();
    await receive(opening, request(1), request(3));
    const framed = shared("hello");
    for (const stream of streams) {
      expect(stream.write(framed)).toBe(true);
    }
    expect(fake.frames.slice(-2)).toMatchObject([
      { type: FrameType.DATA, flags: 0, streamId: 1, payload: Buffer.from("hello") },
      { type: FrameType.DATA, flags: 0, streamId: 3, payload: Buffer.from("hello") },
    ]);
  });

  test("to several streams of a connection is one write while it is corked", async () => {
    const { streams, receive, fake, connection, data } = open();
    await receive(opening, request(1), request(3), request(5));
    const before = fake.writes.length;
    connection.output.cork();
    for (const stream of streams) {
      stream.write(shared("hello"));
    }
    connection.output.uncork();
    expect(fake.writes.length).toBe(before + 1);
    expect([1, 3, 5].map(data)).toEqual(["hello", "hello", "hello"]);
  });

  test("comes after the head that was queued in the same turn", async () => {
    const { streams, receive, fake } = open();
    await receive(opening, request(1));
    streams[0]?.respond(200, []);
    streams[0]?.write(shared("hello"));
    await turn();
    expect(fake.frames.slice(-2).map(({ type }) => type)).toEqual([FrameType.HEADERS, FrameType.DATA]);
  });

  test("waits while the socket is full, and goes out in order when it drains", async () => {
    const { streams, receive, fake, data } = open();
    await receive(opening, request(1));
    const [stream] = streams as [Http2Stream];
    const log: string[] = [];
    stream.onDrain(() => log.push("drained"));
    fake.isFull = true;
    expect(stream.write(shared("1"))).toBe(true);
    expect(stream.write(shared("2"))).toBe(false);
    expect(stream.write(shared("3"))).toBe(false);
    await turn();
    expect(data(1)).toBe("1");
    fake.drain();
    expect(log).toEqual(["drained"]);
    await turn();
    expect(data(1)).toBe("123");
  });

  test("waits behind what Connect sends, and both are told when they may go on", async () => {
    const { streams, receive, data } = open();
    await receive(opening, initialWindow(2), request(1));
    const [stream] = streams as [Http2Stream];
    const log: string[] = [];
    stream.onDrain(() => log.push("hub"));
    expect(stream.send(Buffer.from("first"))).toBe(false);
    const sent = stream.writable().then(() => log.push("Connect"));
    await receive(windowUpdate(1, 3));
    await sent;
    expect(stream.write(shared("second"))).toBe(false);
    await receive(windowUpdate(1, 6));
    expect(log).toEqual(["hub", "Connect", "hub"]);
    expect(data(1)).toBe("firstsecond");
  });

  test("is cut into frames where it is longer than one (4.2)", async () => {
    const { streams, receive, data, of } = open();
    await receive(opening, request(1));
    expect(streams[0]?.write(shared("x".repeat(40_000)))).toBe(true);
    await turn();
    expect(data(1)).toBe("x".repeat(40_000));
    expect(of(FrameType.DATA).map(({ payload }) => payload.length)).toEqual([16_384, 16_384, 7_232]);
  });
});

describe("draining", () => {
  test("names the last id there is, then the real one after a round trip, and lets what runs finish (6.8)", async () => {
    const peer = open();
    await peer.receive(opening, request(1));
    peer.connection.drain();
    await turn();
    const [goAway] = peer.of(FrameType.GOAWAY);
    expect(goAway?.payload).toEqual(bytes("7fffffff 00000000"));
    const ping = peer.of(FrameType.PING).at(-1)?.payload as Buffer;
    // A request that was on its way is taken.
    await peer.receive(request(3), bytes(`000008 06 01 00000000 ${ping.toString("hex")}`), request(5));
    expect(peer.of(FrameType.GOAWAY).at(-1)?.payload).toEqual(bytes("00000003 00000000"));
    expect(peer.streams.map((stream) => stream.id)).toEqual([1, 3]);
    expect(peer.resets).toEqual([[5, ErrorCode.REFUSED_STREAM]]);
    for (const stream of peer.streams) {
      expect(peer.fake.hasEnded).toBe(false);
      stream.respond(200, []);
      stream.end();
    }
    expect(peer.fake.hasEnded).toBe(true);
  });
});

describe("whatever comes", () => {
  /** Every kind of frame, right and wrong, on a few streams. */
  const anyFrame = fc
    .record({
      type: fc.oneof({ weight: 20, arbitrary: fc.nat(9) }, fc.nat(255)),
      flags: fc.oneof(fc.constantFrom(0, 1, 4, 5, 8), fc.nat(255)),
      streamId: fc.constantFrom(0, 1, 1, 3, 3, 5, 7, 9, 2),
      payload: fc.oneof(
        fc.constantFrom(headerBlock, "00000001", "00000000", "0000000000000000", "000400000002", "", "6869"),
        fc.uint8Array({ maxLength: 30 }).map((payload) => Buffer.from(payload).toString("hex")),
      ),
    })
    .map(({ type, flags, streamId, payload }) => {
      const body = bytes(payload);
      const head = Buffer.alloc(frameHeadBytes);
      head.writeUIntBE(body.length, 0, 3);
      head[3] = type;
      head[4] = flags;
      head.writeUInt32BE(streamId, 5);
      return Buffer.concat([head, body]);
    });
  const anything = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.array(anyFrame, { maxLength: 25 }).map((frames) => Buffer.concat([opening, ...frames])),
    },
    fc.uint8Array({ maxLength: 300 }).map((noise) => Buffer.concat([opening, noise])),
    fc.uint8Array({ maxLength: 60 }),
  );

  test("nothing throws, no stream is left behind, and every answer is made of whole frames", async () => {
    await fc.assert(
      fc.asyncProperty(anything, fc.integer({ min: 1, max: 400 }), fc.nat(3), async (input, chunk, answering) => {
        const peer = open();
        for (let at = 0; at < input.length; at += chunk) {
          peer.fake.receive(input.subarray(at, at + chunk));
          const stream = peer.streams.at(-1);
          if (answering > 0 && stream && !stream.hasResponded) {
            stream.respond(200, []);
            stream.write(shared("hello"));
            if (answering > 1) {
              stream.end(answering > 2 ? [["a", "b"]] : undefined);
            }
          }
        }
        await turn();
        expect(peer.fake.frames.every(({ payload }) => payload.length <= 16_384)).toBe(true);
        peer.fake.destroy();
        expect(peer.ended).toBe(peer.streams.length);
        expect(peer.streams.every((stream) => stream.isClosed)).toBe(true);
        for (const stream of peer.streams) {
          await readAll(stream).catch(() => {});
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
