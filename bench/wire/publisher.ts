/** A server of a bench that publishes what its publisher's socket is told (`publication.ts`), as a process of its own. */
import net from "node:net";
import { publicationStamp } from "./publication.ts";

/** What a round needs from the server under test. */
export interface Target {
  readonly pid: number;
  readonly readersPort: number;
  /** @param dueUs when the message was due */
  publish(dueUs: number, seq: number): Promise<unknown>;
  stop(): Promise<void>;
}

/** Longer than a cold start on a busy machine. */
const startTimeoutMs = 30_000;

/**
 * Starts a program that prints its two ports as JSON, `readersPort` and `publisherPort`.
 * @throws {Error} if it does not
 */
export async function startPublisher(argv: readonly string[]): Promise<Target> {
  const child = Bun.spawn([...argv], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const reader = child.stdout.getReader();
  const first = await Promise.race([reader.read(), Bun.sleep(startTimeoutMs)]);
  if (!first?.value) {
    child.kill();
    throw new Error(`it printed no ports: ${argv.join(" ")}`);
  }
  const ports: { readersPort: number; publisherPort: number } = JSON.parse(new TextDecoder().decode(first.value));
  const publisher = net.connect({ host: "127.0.0.1", port: ports.publisherPort, noDelay: true });
  return {
    pid: child.pid,
    readersPort: ports.readersPort,
    publish: async (dueUs, seq) => publisher.write(publicationStamp(dueUs, seq)),
    stop: async () => {
      publisher.destroy();
      child.kill();
      await child.exited;
    },
  };
}
