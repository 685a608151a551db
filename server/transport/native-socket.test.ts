import { expect, test } from "bun:test";
import net, { type AddressInfo, type Socket } from "node:net";
import { type NativeSocket, nativeSocket } from "./native-socket.ts";

/** Both ends of a connection. */
async function connect(): Promise<{ near: Socket; far: Socket; close: () => void }> {
  const server = net.createServer();
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const far = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
  const near = await accepted;
  near.on("error", () => {});
  const close = () => {
    near.destroy();
    far.destroy();
    server.close();
  };
  return { near, far, close };
}

test("the Bun that package.json names has it, and says what the kernel took; the rest may follow over the socket", async () => {
  const { near, far, close } = await connect();
  const native = nativeSocket(near) as NativeSocket;
  expect(native).toBeDefined();
  far.pause();
  const chunk = Buffer.alloc(1_000_000, "x");
  let sent = 0;
  let written = chunk.length;
  while (written === chunk.length) {
    written = native.write(chunk);
    sent += written;
    expect(sent).toBeLessThan(1_000_000_000);
  }
  expect(written).toBeGreaterThanOrEqual(0);
  const rest = new Promise<void>((resolve) => near.write(chunk.subarray(written), () => resolve()));
  sent += chunk.length - written;
  let received = "";
  let length = 0;
  const all = new Promise<void>((resolve) => {
    far.on("data", (data) => {
      length += data.length;
      received = (received + data.toString()).slice(-3);
      if (length === sent + 3) {
        resolve();
      }
    });
  });
  far.resume();
  await rest;
  expect(native.write(Buffer.from("end"))).toBe(3);
  await all;
  expect(received).toBe("end");
  close();
});

test("a socket that is closed takes nothing", async () => {
  const { near, close } = await connect();
  const native = nativeSocket(near) as NativeSocket;
  close();
  expect(native.write(Buffer.from("late"))).toBe(-1);
});

test("what is no socket of Bun's has none", () => {
  expect(nativeSocket({ _handle: { write: () => 0 } } as unknown as Socket)).toBeUndefined();
  expect(nativeSocket({} as Socket)).toBeUndefined();
});
