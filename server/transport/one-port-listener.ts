/**
 * The one port: HTTP/1.1 and HTTP/2 (cleartext or TLS) on the same address.
 *
 * Without TLS, a net server looks at the first bytes of a connection: "PRI" opens HTTP/2 (RFC 9113, 3.4), anything else
 * is HTTP/1.1, and the socket is handed to that server of node's. With TLS, ALPN chooses. Bun gives no timers to sockets
 * that were handed over, so every deadline before and between requests is kept here.
 *
 * State: the open connections, each with one deadline; one timer sweeps them all.
 */
import http from "node:http";
import http2 from "node:http2";
import net, { type AddressInfo, type Socket } from "node:net";

export type HttpRequest = http.IncomingMessage | http2.Http2ServerRequest;
export type HttpResponse = http.ServerResponse | http2.Http2ServerResponse;
export type RequestListener = (request: HttpRequest, response: HttpResponse) => void;

export interface ListenerLimits {
  /** Open connections; one more is closed at once. */
  connectionsMax: number;
  /** From accepting a connection to its first whole request head. */
  openingTimeoutMs: number;
  /** From the head of a request to the end of its body. Does not apply where `isLongUpload` says so. */
  requestBodyTimeoutMs: number;
  /** An HTTP/1.1 connection between two requests, an HTTP/2 connection without streams. */
  idleTimeoutMs: number;
  /** All header fields of a request together (HTTP/1.1: 431 above it). */
  headerBytesMax: number;
  /** Concurrent streams on one HTTP/2 connection, as announced in SETTINGS. */
  streamsPerConnectionMax: number;
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
  onRequest: RequestListener;
  /** Whether the client may take as long as it likes over the request body: two-way streams. */
  isLongUpload(request: HttpRequest): boolean;
}

/**
 * Resets that an HTTP/2 connection may see before it is closed (rapid reset, CVE-2023-44487): a burst and a rate a
 * second. Behind a shared proxy every viewer who leaves is one reset on the same connection, so the common 33 a second
 * would cut a whole proxy off when a show ends.
 */
const streamResetBurst = 2_000;
const streamResetRate = 200;

/** How often deadlines are looked at: they may be overrun by as much. */
const sweepIntervalMs = 500;

interface OpenConnection {
  /** Requests that are not answered to the end. */
  requests: number;
  /** When it is closed, performance.now; Infinity: not by a timer. */
  deadline: number;
}

export class OnePortListener {
  readonly #options: ListenerOptions;
  readonly #front: net.Server;
  readonly #h1: http.Server | undefined;
  readonly #h2: http2.Http2Server | http2.Http2SecureServer;
  /** The connections that are not (yet) HTTP/2. */
  readonly #sockets = new Map<Socket, OpenConnection>();
  readonly #sessions = new Map<http2.ServerHttp2Session, OpenConnection>();
  #connections = 0;
  /** Requests whose response is not over. */
  #requests = 0;
  #whenIdle: (() => void) | undefined;
  #sweeper: ReturnType<typeof setInterval> | undefined;
  #draining = false;

  constructor(options: ListenerOptions) {
    this.#options = options;
    const { limits, tls } = options;
    const h2Settings = {
      settings: { maxConcurrentStreams: limits.streamsPerConnectionMax },
      maxHeaderListPairs: 128,
      streamResetBurst,
      streamResetRate,
    };
    if (tls) {
      const secure = http2.createSecureServer(
        {
          ...h2Settings,
          ...tls,
          allowHTTP1: true,
          handshakeTimeout: limits.openingTimeoutMs,
        } as http2.SecureServerOptions,
        this.#onRequest,
      );
      // Bun emits "connection" with the TLS socket itself, before the handshake.
      secure.on("connection", this.#onConnection);
      secure.on("secureConnection", (socket) => {
        if (socket.alpnProtocol === "h2") {
          this.#sockets.delete(socket);
        }
      });
      secure.on("tlsClientError", (_error, socket) => socket.destroy());
      this.#h2 = secure;
      this.#front = secure as unknown as net.Server;
    } else {
      const { headerBytesMax: maxHeaderSize, idleTimeoutMs: keepAliveTimeout } = limits;
      this.#h1 = http.createServer({ maxHeaderSize, keepAliveTimeout }, this.#onRequest);
      this.#h1.on("clientError", (error: NodeJS.ErrnoException, socket) => refuseUnparsable(error, socket as Socket));
      this.#h2 = http2.createServer(h2Settings as http2.ServerOptions, this.#onRequest);
      this.#front = net.createServer({ noDelay: true }, (socket) => {
        if (this.#onConnection(socket)) {
          this.#chooseByFirstBytes(socket);
        }
      });
    }
    this.#h2.on("session", this.#onSession);
    this.#h2.on("sessionError", () => {});
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
    for (const session of this.#sessions.keys()) {
      session.close();
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
    for (const session of this.#sessions.keys()) {
      session.destroy();
    }
    for (const socket of this.#sockets.keys()) {
      socket.destroy();
    }
  }

  /** @returns false where the connection was closed instead */
  readonly #onConnection = (socket: Socket): boolean => {
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
  };

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
        this.#sockets.delete(socket);
        this.#h2.emit("connection", socket);
      } else {
        this.#h1?.emit("connection", socket);
      }
    };
    socket.on("readable", look);
  }

  readonly #onSession = (session: http2.ServerHttp2Session): void => {
    this.#sessions.set(session, { requests: 0, deadline: performance.now() + this.#options.limits.openingTimeoutMs });
    session.once("close", () => this.#sessions.delete(session));
    session.on("error", () => {});
    if (this.#draining) {
      session.close();
    }
  };

  readonly #onRequest = (request: HttpRequest, response: HttpResponse): void => {
    const isLongUpload = this.#options.isLongUpload(request);
    if ("stream" in request) {
      this.#watchStream(request.stream, isLongUpload);
    } else {
      this.#watchExchange(request, response as http.ServerResponse, isLongUpload);
    }
    this.#options.onRequest(request, response);
  };

  /** Keeps the deadline of an HTTP/1.1 connection: of the body while it comes, none while it is answered. */
  #watchExchange(request: http.IncomingMessage, response: http.ServerResponse, isLongUpload: boolean): void {
    const { socket } = request;
    const connection = this.#sockets.get(socket);
    if (!connection) {
      return;
    }
    this.#begin(connection);
    if (!isLongUpload) {
      connection.deadline = performance.now() + this.#options.limits.requestBodyTimeoutMs;
      request.once("end", () => {
        connection.deadline = Infinity;
      });
    }
    response.once("close", () => {
      this.#finish(connection);
      if (this.#draining) {
        socket.destroySoon();
      }
    });
  }

  /** Keeps the deadlines of an HTTP/2 stream: of its request's body, and of its connection once it was the last. */
  #watchStream(stream: http2.ServerHttp2Stream, isLongUpload: boolean): void {
    const session = stream.session as http2.ServerHttp2Session | undefined;
    const connection = session && this.#sessions.get(session);
    if (connection) {
      this.#begin(connection);
      stream.once("close", () => this.#finish(connection));
    }
    if (!isLongUpload) {
      const cut = () => stream.close(http2.constants.NGHTTP2_CANCEL);
      const timer = setTimeout(cut, this.#options.limits.requestBodyTimeoutMs);
      const stop = () => clearTimeout(timer);
      stream.once("end", stop);
      stream.once("close", stop);
    }
    closeWhenAnsweredEarly(stream);
  }

  #begin(connection: OpenConnection): void {
    this.#requests++;
    connection.requests++;
    connection.deadline = Infinity;
  }

  #finish(connection: OpenConnection): void {
    this.#requests--;
    connection.requests--;
    if (connection.requests === 0) {
      connection.deadline = performance.now() + this.#options.limits.idleTimeoutMs;
    }
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
    for (const [session, { deadline }] of this.#sessions) {
      if (deadline <= now) {
        session.destroy();
      }
    }
  }
}

/**
 * Ends the request's half of a stream that was answered before the request had ended. Without it the stream stays half
 * open and unread, and a client that is still sending waits for window for ever. gRPC servers send RST_STREAM(NO_ERROR)
 * after the trailers (RFC 9113, 8.1). It must be the stream's "finish", and a turn later: earlier cuts the trailers off.
 */
function closeWhenAnsweredEarly(stream: http2.ServerHttp2Stream): void {
  stream.once("finish", () => {
    setImmediate(() => {
      if (!stream.readableEnded && !stream.destroyed) {
        stream.close(http2.constants.NGHTTP2_NO_ERROR);
      }
    });
  });
}

/** What is not HTTP, or more of it than a head may have, gets one answer and the door (RFC 9112, 2.2; RFC 6585, 5). */
function refuseUnparsable(error: NodeJS.ErrnoException, socket: Socket): void {
  const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request";
  if (socket.writable) {
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  }
  socket.destroySoon();
}
