import { afterEach, describe, expect, test } from "bun:test";
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import { selfSignedCertificate } from "../../test/harness/certificate.ts";
import type { Http2Stream } from "./http2/http2-stream.ts";
import { type ListenerLimits, OnePortListener } from "./one-port-listener.ts";

const limits: ListenerLimits = {
  connectionsMax: 20,
  openingTimeoutMs: 300,
  requestBodyTimeoutMs: 300,
  idleTimeoutMs: 10_000,
  headerBytesMax: 16_384,
  streamsPerConnectionMax: 10,
};

let listener: OnePortListener;
afterEach(() => listener.close());

/** The last connection is gone on this side too. */
async function empty(): Promise<void> {
  while (listener.connections > 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function answer(stream: Http2Stream, text: string): void {
  stream.respond(200, []);
  stream.send(Buffer.from(text));
  stream.end();
}

async function readToEnd(stream: Http2Stream): Promise<void> {
  while ((await stream.next()).done !== true) {
    // Only the end counts.
  }
}

/** Starts a listener that answers every request, when its body has come, with its HTTP version and path. */
async function start(
  changes: Partial<ListenerLimits> = {},
  options: Partial<ConstructorParameters<typeof OnePortListener>[0]> = {},
) {
  listener = new OnePortListener({
    host: "127.0.0.1",
    port: 0,
    limits: { ...limits, ...changes },
    isLongUpload: (target) => target === "/long",
    onRequest: (request, response) => {
      request.resume();
      request.on("end", () => response.end(`${request.httpVersion} ${request.url}`));
    },
    onStream: (stream) => {
      readToEnd(stream).then(
        () => answer(stream, `2.0 ${stream.head.path}`),
        () => {},
      );
    },
    ...options,
  });
  return (await listener.listen()).port;
}

/** A connection whose bytes are written by hand. `closed` resolves to everything that was received. */
function connect(port: number) {
  const socket = net.connect(port, "127.0.0.1");
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  socket.on("error", () => {});
  const closed = new Promise<string>((resolve) => socket.once("close", () => resolve(received)));
  const answered = async (text: string) => {
    while (!received.includes(text)) {
      await new Promise((resolve) => socket.once("data", resolve));
    }
  };
  return { socket, closed, answered };
}

async function h2Get(url: string, pathname: string, options: http2.SecureClientSessionOptions = {}): Promise<string> {
  const session = http2.connect(url, options);
  const stream = session.request({ ":path": pathname });
  stream.end();
  let text = "";
  for await (const chunk of stream) {
    text += chunk;
  }
  session.close();
  return text;
}

describe("one port", () => {
  test("answers HTTP/1.1 and HTTP/2 alike", async () => {
    const port = await start();
    expect(await (await fetch(`http://127.0.0.1:${port}/a`)).text()).toBe("1.1 /a");
    expect(await h2Get(`http://127.0.0.1:${port}`, "/b")).toBe("2.0 /b");
  });

  test("tells them apart when the first bytes come one by one", async () => {
    const port = await start();
    const { socket, answered } = connect(port);
    for (const bytes of ["P", "O", "ST /c HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"]) {
      await new Promise((resolve) => socket.write(bytes, resolve));
    }
    await answered("1.1 /c");
    socket.destroy();
  });

  test("answers both over TLS, as ALPN says", async () => {
    const port = await start({}, { tls: selfSignedCertificate() });
    const url = `https://127.0.0.1:${port}`;
    const insecure = { rejectUnauthorized: false };
    expect(await (await fetch(`${url}/a`, { tls: insecure })).text()).toBe("1.1 /a");
    expect(await h2Get(url, "/b", insecure)).toBe("2.0 /b");
    // Half a handshake is cut like every half opening.
    await connect(port).closed;
    const silent = tls.connect({ port, host: "127.0.0.1", ALPNProtocols: ["h2"], ...insecure });
    silent.on("error", () => {});
    silent.resume();
    await new Promise((resolve) => silent.once("close", resolve));
  });
});

describe("a connection is closed by the deadline", () => {
  const openings = {
    "that says nothing": "",
    "with half of HTTP/2's preface": "PRI * HT",
    "with HTTP/2's preface and nothing more": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "with one letter": "P",
    "with half a request head": "GET / HTTP/1.1\r\nhost: a\r\nx-",
    "with half a body": "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf",
  };
  for (const [what, bytes] of Object.entries(openings)) {
    test(what, async () => {
      const { socket, closed } = connect(await start());
      socket.write(bytes);
      await closed;
      await empty();
    });
  }

  test("of a head that comes byte by byte for ever", async () => {
    const { socket, closed } = connect(await start());
    const timer = setInterval(() => socket.write("x"), 20);
    socket.write("GET / HTTP/1.1\r\nx: ");
    await closed;
    clearInterval(timer);
  });

  test("but not while a two-way stream takes its time", async () => {
    const port = await start();
    const slow = connect(port);
    slow.socket.write("POST /long HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nha");
    const half = connect(port);
    half.socket.write("POST /short HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nha");
    await half.closed;
    slow.socket.write("lf");
    await slow.answered("1.1 /long");
    slow.socket.destroy();
  });

  test("when it is idle after its last request", async () => {
    const port = await start({ idleTimeoutMs: 100 });
    const { socket, closed } = connect(port);
    socket.write("GET /a HTTP/1.1\r\nhost: a\r\n\r\n");
    expect(await closed).toContain("1.1 /a");
    const session = http2.connect(`http://127.0.0.1:${port}`);
    session.request({ ":path": "/b" }).resume().end();
    await new Promise((resolve) => session.once("close", resolve));
  });
});

test("an HTTP/2 stream whose body stops is reset, its connection goes on", async () => {
  const port = await start();
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const stream = session.request({ ":path": "/half", ":method": "POST" });
  stream.on("error", () => {});
  stream.write("half");
  await new Promise((resolve) => stream.once("close", resolve));
  expect(stream.rstCode).toBe(http2.constants.NGHTTP2_CANCEL);
  const after = session.request({ ":path": "/after" });
  after.end();
  expect(await new Response(after as never).text()).toBe("2.0 /after");
  session.close();
});

test("bytes that are not HTTP get 400", async () => {
  const { socket, closed } = connect(await start());
  socket.write("\x00\x01\x02\x03\r\n\r\n");
  expect(await closed).toStartWith("HTTP/1.1 400 Bad Request\r\n");
});

test("a head over the limit gets 431", async () => {
  const { socket, closed } = connect(await start());
  socket.write(`GET / HTTP/1.1\r\nhost: a\r\nx: ${"x".repeat(20_000)}\r\n\r\n`);
  expect(await closed).toContain("431");
});

test("one connection too many is closed, those inside stay", async () => {
  const port = await start({ connectionsMax: 2, openingTimeoutMs: 10_000 });
  const inside = [connect(port), connect(port)];
  await Promise.all(inside.map(({ socket }) => new Promise((resolve) => socket.once("connect", resolve))));
  await connect(port).closed;
  inside[0]?.socket.write("GET /a HTTP/1.1\r\nhost: a\r\n\r\n");
  await inside[0]?.answered("1.1 /a");
});

test("a client that is answered before its request has ended can go on sending and is not left hanging", async () => {
  const port = await start({}, { onStream: (stream) => answer(stream, "no") });
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const stream = session.request({ ":path": "/", ":method": "POST" });
  stream.on("error", () => {});
  stream.resume();
  // More than the stream's window: without the reset it would wait for ever.
  stream.write(Buffer.alloc(1_000_000));
  await new Promise((resolve) => stream.once("close", resolve));
  expect(stream.rstCode).toBe(http2.constants.NGHTTP2_NO_ERROR);
  session.close();
});

test("draining lets what runs finish, takes no connection more and closes those that are idle", async () => {
  const pending: (() => void)[] = [];
  const port = await start(
    {},
    {
      onRequest: (_request, response) => pending.push(() => response.end("done")),
      onStream: (stream) => pending.push(() => answer(stream, "done")),
    },
  );
  const idle = connect(port);
  const busy = connect(port);
  busy.socket.write("GET /a HTTP/1.1\r\nhost: a\r\n\r\n");
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const stream = session.request({ ":path": "/b" });
  stream.end();
  while (pending.length < 2) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  listener.drain();
  await idle.closed;
  const refused = net.connect(port, "127.0.0.1");
  await new Promise((resolve) => refused.once("error", resolve));
  const finished = listener.idle(10_000);
  for (const finish of pending) {
    finish();
  }
  await finished;
  expect(await new Response(stream as never).text()).toBe("done");
  expect(await busy.closed).toContain("done");
  await new Promise((resolve) => (session.closed ? resolve(undefined) : session.once("close", resolve)));
});
