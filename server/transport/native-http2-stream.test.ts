import { afterEach, beforeEach, expect, test } from "bun:test";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { type NativeHttp2Stream, nativeHttp2Stream } from "./native-http2-stream.ts";

let server: http2.Http2Server;
let client: http2.ClientHttp2Session;

beforeEach(async () => {
  server = http2.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});

afterEach(() => {
  client.destroy();
  server.close();
});

/** Opens a stream and gives both ends of it. */
async function open() {
  const accepted = new Promise<http2.ServerHttp2Stream>((resolve) => server.once("stream", resolve));
  const reader = client.request({ ":path": "/" });
  reader.on("error", () => {});
  reader.end();
  const stream = await accepted;
  stream.on("error", () => {});
  stream.respond({ ":status": 200 });
  const native = nativeHttp2Stream(stream) as NativeHttp2Stream;
  return { reader, stream, native };
}

async function readAll(reader: http2.ClientHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of reader) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

test("the Bun that package.json names has the native session", async () => {
  const { native } = await open();
  expect(native).toBeDefined();
});

test("what is written natively and by the stream arrives in order, and the end after it", async () => {
  const { reader, stream, native } = await open();
  stream.write("a");
  expect(native.write(Buffer.from("b"))).toBe(true);
  expect(native.write(Buffer.from("c"))).toBe(true);
  stream.end("d");
  expect((await readAll(reader)).toString()).toBe("abcd");
});

test("a full window is said at once, and when it has opened", async () => {
  const { reader, stream, native } = await open();
  reader.pause();
  const chunk = Buffer.alloc(10_000, "x");
  let writes = 1;
  while (native.write(chunk)) {
    writes++;
    expect(writes).toBeLessThan(100);
  }
  expect(native.waitingBytes).toBe(chunk.length);
  const drained = new Promise<void>((resolve) => native.onDrain(resolve));
  const all = readAll(reader);
  await drained;
  expect(native.waitingBytes).toBe(0);
  expect(native.write(Buffer.from("end"))).toBe(true);
  stream.end();
  expect((await all).length).toBe(writes * chunk.length + 3);
});

test("writing to a stream or a session that is gone does nothing", async () => {
  const first = await open();
  first.stream.close(http2.constants.NGHTTP2_CANCEL);
  expect(first.native.write(Buffer.from("late"))).toBe(false);
  const second = await open();
  second.stream.session?.destroy();
  expect(second.native.write(Buffer.from("late"))).toBe(false);
  await new Promise((resolve) => (client.closed ? resolve(undefined) : client.once("close", resolve)));
  expect(second.native.write(Buffer.from("later"))).toBe(false);
});
