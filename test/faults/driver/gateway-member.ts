/** A gateway process of a deployment under test: keeps its port and its settings from one start to the next. */
import { type Gateway, startGateway } from "../../harness/gateway.ts";
import type { Member } from "./deployment.ts";

export class GatewayMember implements Member {
  readonly kind = "gateway";
  readonly #settings: Readonly<Record<string, string>>;
  #gateway: Gateway;

  private constructor(
    readonly name: string,
    settings: Readonly<Record<string, string>>,
    gateway: Gateway,
  ) {
    this.#settings = settings;
    this.#gateway = gateway;
  }

  /** @param settings of the gateway as environment variables; DATA_DIRECTORY must be among them */
  static async start(name: string, settings: Readonly<Record<string, string>>): Promise<GatewayMember> {
    return new GatewayMember(name, settings, await startGateway(settings));
  }

  get url(): string {
    return this.#gateway.url;
  }

  get port(): number {
    return this.#gateway.port;
  }

  get pid(): number {
    return this.#gateway.pid;
  }

  get isRunning(): boolean {
    return this.#gateway.exitCode === undefined;
  }

  get log(): string {
    return this.#gateway.log;
  }

  end(signal: "SIGKILL" | "SIGTERM"): Promise<number> {
    return this.#gateway.stop(signal);
  }

  async start(): Promise<void> {
    this.#gateway = await startGateway({ ...this.#settings, PORT: String(this.#gateway.port) });
  }

  freeze(): void {
    process.kill(this.#gateway.pid, "SIGSTOP");
  }

  thaw(): void {
    process.kill(this.#gateway.pid, "SIGCONT");
  }
}
