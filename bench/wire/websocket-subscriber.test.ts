import { afterEach, expect, test } from "bun:test";
import type { ServerWebSocket } from "bun";
import { waitFor } from "../../test/harness/wait-for.ts";
import { WebSocketSubscriber } from "./websocket-subscriber.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) {
    cleanup();
  }
});

/** Bun's own server: another implementation of the protocol. */
function serve(open: (socket: ServerWebSocket<undefined>) => void) {
  const heard: string[] = [];
  let pongs = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request, self) => (self.upgrade(request) ? undefined : new Response("no", { status: 400 })),
    websocket: { open, message: (_, text) => void heard.push(String(text)), pong: () => void pongs++ },
  });
  cleanups.push(() => void server.stop(true));
  return { url: server.url, heard, pongs: () => pongs };
}

test("frames of every length come whole, pings are answered, and so are the server's words", async () => {
  const lengths = [1, 125, 126, 65_535, 65_536, 300_000];
  const { url, heard, pongs } = serve((socket) => {
    socket.send("2");
    socket.ping("are you there");
    for (const length of lengths) {
      socket.send("x".repeat(length));
    }
  });
  const seen: number[] = [];
  const long = "g".repeat(200);
  const dialogue = { path: "/", greeting: ["hello", long], answer: (text: string) => (text === "2" ? "3" : undefined) };
  const subscriber = new WebSocketSubscriber(url, dialogue, {
    envelope: (_flags, _bytes, start, end) => seen.push(end - start),
    closed: () => {},
  });
  await waitFor("all frames came", () => seen.length === lengths.length && heard.length === 3 && pongs() === 1);
  subscriber.close();
  expect(seen).toEqual(lengths);
  expect(heard.sort()).toEqual(["3", long, "hello"]);
});

test("a server that speaks no WebSocket, and one that goes, are told", async () => {
  const plain = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("no", { status: 404 }) });
  cleanups.push(() => void plain.stop(true));
  const { url } = serve((socket) => socket.terminate());
  for (const [origin, said] of [
    [plain.url, "HTTP/1.1 404"],
    [url, "closed the connection"],
  ] as const) {
    const why = await new Promise<string>((resolve) => {
      const dialogue = { path: "/", greeting: [], answer: () => undefined };
      new WebSocketSubscriber(origin, dialogue, { envelope: () => {}, closed: resolve });
    });
    expect(why).toContain(said);
  }
});
