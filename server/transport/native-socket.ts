/**
 * The shortest way to a socket on Bun: the native object behind node:net's.
 *
 * `socket.write` goes through Writable's state and puts a callback on the next tick; the native `write` is the system
 * call and little more (ADR 0009). It is not a documented interface: where it is not found as it was in Bun 1.4.5,
 * `socket.write` serves.
 *
 *     write(bytes) ─► bytes that the kernel took; the rest is the caller's        -1  the socket is closed
 *
 * Whoever writes natively must know that nothing waits in the socket's own queue: it would be overtaken.
 */
import type { Socket } from "node:net";

export interface NativeSocket {
  write(bytes: Uint8Array): number;
}

/** Undefined: this is not the Bun that has it. */
export function nativeSocket(socket: Socket): NativeSocket | undefined {
  const handle: unknown = (socket as unknown as { _handle: unknown })._handle;
  // `bytesWritten` tells Bun's object from libuv's, whose write is another.
  return typeof handle === "object" && handle !== null && "write" in handle && "bytesWritten" in handle
    ? (handle as NativeSocket)
    : undefined;
}
