/** Bytes on a bare TCP connection, for what no client library would send. */
import net from "node:net";
import type { Address } from "./curls.ts";

export interface Exchange {
  /** All that the server sent, as latin1. */
  received: string;
  /** The server closed the connection; false: it was still open after `patienceMs`. */
  closed: boolean;
}

export interface ExchangeOptions {
  /** Ends the sending half after the bytes (FIN). */
  halfClose?: boolean;
  /** How long to wait for the server to close. */
  patienceMs?: number;
}

/** Connects, writes the bytes, and collects what comes until the server closes. */
export function exchange(
  { host, port }: Address,
  bytes: Uint8Array | string,
  { halfClose = false, patienceMs = 10_000 }: ExchangeOptions = {},
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host, port, noDelay: true, allowHalfOpen: true });
    let received = "";
    const finish = (closed: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ received, closed });
    };
    const timer = setTimeout(finish, patienceMs, false);
    socket.on("connect", () => {
      socket.write(bytes);
      if (halfClose) {
        socket.end();
      }
    });
    socket.on("data", (data: Buffer) => {
      received += data.toString("latin1");
    });
    socket.on("end", () => finish(true));
    socket.on("close", () => finish(true));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // Reset by the server: closed, too.
      if (error.code === "ECONNRESET" || error.code === "EPIPE") {
        finish(true);
      } else {
        clearTimeout(timer);
        reject(error);
      }
    });
  });
}
