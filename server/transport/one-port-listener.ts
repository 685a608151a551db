/**
 * The one port: HTTP/1.1 and HTTP/2 (cleartext or TLS) on the same address.
 *
 * Without TLS, the first bytes of a connection choose: "PRI" opens HTTP/2 (RFC 9113, 3.4), anything else is HTTP/1.1. With
 * TLS, ALPN does. HTTP/2 is ours (`http2/`), HTTP/1.1 is node's; as Bun gives no timers to sockets that were handed over
 * to it, every deadline of its connections before and between requests is kept here.
 *
 * State: the open connections, each with one deadline; one timer sweeps them all.
 */
import http from "node:http";
import net, { type AddressInfo, type Socket } from "node:net";
import tls, { type TLSSocket } from "node:tls";
import { GatherBuffer } from "./http2/connection-output.ts";
import { Http2Connection, type Http2Limits } from "./http2/http2-connection.ts";
import type { Http2Stream } from "./http2/http2-stream.ts";

export type RequestListener = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** Those of HTTP/2 that HTTP/1.1 has too (an idle connection is one between two requests) hold for both. */
export interface ListenerLimits extends Http2Limits {
  /** Open connections; one more is closed at once. */
  connectionsMax: number;
}

export interface ListenerOptions {
  host: string;
  /** 0: any free port. */
  port: number;
  /** PEM. Undefined: cleartext. */
  tls?: { cert: string | Buffer; key: string | Buffer } | undefined;
  /** Lets several processes of one host share the port (SO_REUSEPORT). */
  reusePort?: boolean;
  limits: ListenerLimits;
  /** Answers HTTP/1.1. */
  onRequest: RequestListener;
  /** Answers HTTP/2. */
  onStream(stream: Http2Stream): void;
  /**
   * Whether the client may take as long as it likes over the request body: two-way streams.
   * @param target path and query
   */
  isLongUpload(target: string): boolean;
}

/** How often deadlines are looked at: they may be overrun by as much. */
const sweepIntervalMs = 500;

interface Http1Connection {
  /** Requests that are not answered to the end. */
  requests: number;
  /** When it is closed, performance.now; Infinity: not by a timer. */
  deadline: number;
}

export class OnePortListener {
  readonly #options: ListenerOptions;
  readonly #front: net.Server | tls.Server;
  readonly #h1: http.Server;
  /** The connections that are not (yet) HTTP/2. */
  readonly #sockets = new Map<Socket, Http1Connection>();
  readonly #http2Connections = new Set<Http2Connection>();
  readonly #gather = new GatherBuffer();
  #connections = 0;
  /** Requests whose response is not over. */
  #requests = 0;
  #whenIdle: (() => void) | undefined;
  #sweeper: ReturnType<typeof setInterval> | undefined;
  #draining = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
    const { limits } = options;
    const { headerBytesMax: maxHeaderSize, idleTimeoutMs: keepAliveTimeout } = limits;
    this.#h1 = http.createServer({ maxHeaderSize, keepAliveTimeout }, this.#onRequest);
    this.#h1.on("clientError", (error: NodeJS.ErrnoException, socket) => refuseUnparsable(error, socket as Socket));
    if (options.tls) {
      const secure = { ...options.tls, ALPNProtocols: ["h2", "http/1.1"], handshakeTimeout: limits.openingTimeoutMs };
      this.#front = tls.createServer(secure, (socket) => this.#chooseByAlpn(socket));
      // Bun emits "connection" with the TLS socket itself, before the handshake.
      this.#front.on("connection", (socket) => this.#accept(socket));
      this.#front.on("tlsClientError", (_error, socket) => socket.destroy());
    } else {
      this.#front = net.createServer({ noDelay: true }, (socket) => {
        if (this.#accept(socket)) {
          this.#chooseByFirstBytes(socket);
        }
      });
    }
  }

  /** @returns where it listens */
  async listen(): Promise<AddressInfo> {
    const { host, port, reusePort } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#front.once("error", reject);
      this.#front.listen({ host, port, reusePort: reusePort ?? false }, () => {
        this.#front.off("error", reject);
        resolve();
      });
    });
    this.#sweeper = setInterval(() => this.#sweep(), sweepIntervalMs);
    return this.#front.address() as AddressInfo;
  }

  /** Open connections of both kinds. */
  get connections(): number {
    return this.#connections;
  }

  /** Takes no more connections and tells HTTP/2 clients to open no more streams (GOAWAY); what runs goes on. */
  drain(): void {
    this.#draining = true;
    this.#front.close();
    for (const connection of this.#http2Connections) {
      connection.drain();
    }
    for (const [socket, { requests }] of this.#sockets) {
      if (requests === 0) {
        socket.destroy();
      }
    }
  }

  /** Resolves when no request is being answered, or at the latest after `timeoutMs`. */
  async idle(timeoutMs: number): Promise<void> {
    if (this.#requests > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#whenIdle = resolve;
      const timer = setTimeout(resolve, timeoutMs);
      await promise;
      clearTimeout(timer);
    }
  }

  /** Ends every connection now. */
  close(): void {
    this.drain();
    clearInterval(this.#sweeper);
    for (const connection of this.#http2Connections) {
      connection.destroy();
    }
    for (const socket of this.#sockets.keys()) {
      socket.destroy();
    }
  }

  /** @returns false where the connection was closed instead */
  #accept(socket: Socket): boolean {
    if (this.#connections >= this.#options.limits.connectionsMax || this.#draining) {
      socket.destroy();
      return false;
    }
    this.#connections++;
    socket.setNoDelay(true);
    this.#sockets.set(socket, { requests: 0, deadline: performance.now() + this.#options.limits.openingTimeoutMs });
    // A reset of the peer's: "close" follows.
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#connections--;
      this.#sockets.delete(socket);
    });
    return true;
  }

  #chooseByFirstBytes(socket: Socket): void {
    let collected: Buffer = Buffer.alloc(0);
    const look = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) {
        return;
      }
      collected = collected.length === 0 ? chunk : Buffer.concat([collected, chunk]);
      const opening = collected.toString("latin1", 0, 3);
      if (opening !== "PRI" && "PRI".startsWith(opening)) {
        return;
      }
      socket.off("readable", look);
      socket.unshift(collected);
      if (opening === "PRI") {
        this.#openHttp2(socket);
      } else {
        this.#h1.emit("connection", socket);
      }
    };
    socket.on("readable", look);
  }

  #chooseByAlpn(socket: TLSSocket): void {
    if (socket.alpnProtocol === "h2") {
      this.#openHttp2(socket);
    } else {
      this.#h1.emit("connection", socket);
    }
  }

  #openHttp2(socket: Socket): void {
    const { limits, isLongUpload, onStream } = this.#options;
    this.#sockets.delete(socket);
    const connection = new Http2Connection(socket, {
      limits,
      gather: this.#gather,
      isEncrypted: this.#options.tls !== undefined,
      isLongUpload: (head) => isLongUpload(head.path),
      onStream: (stream) => {
        this.#requests++;
        onStream(stream);
      },
      onStreamEnd: () => this.#requestEnded(),
    });
    this.#http2Connections.add(connection);
    socket.once("close", () => this.#http2Connections.delete(connection));
    if (this.#draining) {
      connection.drain();
    }
  }

  readonly #onRequest: RequestListener = (request, response) => {
    this.#watchExchange(request, response);
    this.#options.onRequest(request, response);
  };

  /** Keeps the deadline of an HTTP/1.1 connection: of the body while it comes, none while it is answered. */
  #watchExchange(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { socket } = request;
    const { limits, isLongUpload } = this.#options;
    const connection = this.#sockets.get(socket);
    if (!connection) {
      return;
    }
    this.#requests++;
    connection.requests++;
    connection.deadline = Infinity;
    if (!isLongUpload(request.url ?? "")) {
      connection.deadline = performance.now() + limits.requestBodyTimeoutMs;
      request.once("end", () => {
        connection.deadline = Infinity;
      });
    }
    response.once("close", () => {
      connection.requests--;
      if (connection.requests === 0) {
        connection.deadline = performance.now() + limits.idleTimeoutMs;
      }
      this.#requestEnded();
      if (this.#draining) {
        socket.destroySoon();
      }
    });
  }

  #requestEnded(): void {
    this.#requests--;
    if (this.#requests === 0) {
      this.#whenIdle?.();
    }
  }

  #sweep(): void {
    const now = performance.now();
    for (const [socket, { deadline }] of this.#sockets) {
      if (deadline <= now) {
        socket.destroy();
      }
    }
    for (const connection of this.#http2Connections) {
      connection.sweep(now);
    }
  }
}

/** What is not HTTP, or more of it than a head may have, gets one answer and the door (RFC 9112, 2.2; RFC 6585, 5). */
function refuseUnparsable(error: NodeJS.ErrnoException, socket: Socket): void {
  const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request";
  if (socket.writable) {
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }
  socket.destroySoon();
}
