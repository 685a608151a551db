/**
 * A TCP proxy before a server that can cut every connection, hold all bytes back as a network that drops packets does, and
 * lead new connections to another server. To the client it is one address; so a test can take away the line or the whole
 * server behind it. Owns its open sockets.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class CuttingProxy {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #targetPort: number;
  #isHeld = false;
  #swallows: ((answer: Buffer) => boolean) | undefined;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((near) => {
      const far = connect({ host: "127.0.0.1", port: this.#targetPort });
      this.#pass(near, far);
      this.#pass(far, near, (chunk) => this.#swallows?.(chunk) ?? false);
    });
  }

  static async start(targetPort: number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Where new connections go from now on. */
  leadTo(port: number): void {
    this.#targetPort = port;
  }

  /** Nothing passes any more, either way; connections stay open, and new ones are taken and hear nothing. */
  hold(): void {
    this.#isHeld = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** What was held back passes, on the connections that still are, and all that follows. */
  goOn(): void {
    this.#isHeld = false;
    for (const socket of this.#sockets) socket.resume();
  }

  /** Pieces of the server's answers that disappear from now on, as they come. Undefined: none. */
  swallow(swallows: ((answer: Buffer) => boolean) | undefined): void {
    this.#swallows = swallows;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  stop(): void {
    this.#server.close();
    this.cut();
  }

  #pass(from: Socket, to: Socket, swallows: (chunk: Buffer) => boolean = () => false): void {
    this.#sockets.add(from);
    from.on("data", (chunk: Buffer) => {
      if (!swallows(chunk) && !to.write(chunk)) {
        from.pause();
      }
    });
    to.on("drain", () => {
      if (!this.#isHeld) {
        from.resume();
      }
    });
    from.on("end", () => to.end());
    // A reset on one side is the other's end; "close" follows an error.
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    if (this.#isHeld) {
      from.pause();
    }
  }
}
