/** The parent of several gateway processes, with processes that the test ends and a pause that it does not wait for. */
import { describe, expect, test } from "bun:test";
import net from "node:net";
import pino from "pino";
import { waitFor } from "../test/harness/wait-for.ts";
import { freePort, type GatewayProcess, type ProcessEnd, Processes } from "./processes.ts";
import { gatewaySettings } from "./settings.ts";

const inOrder: ProcessEnd = { code: 0, signal: null };
const killed: ProcessEnd = { code: null, signal: "SIGKILL" };

class FakeProcess implements GatewayProcess {
  readonly pid: number;
  readonly signals: string[] = [];
  readonly #serves = Promise.withResolvers<string>();
  readonly #ended = Promise.withResolvers<ProcessEnd>();
  readonly serves = this.#serves.promise;
  readonly ended = this.#ended.promise;
  /** How it ends when it is told to stop; undefined: it does not. */
  endsWith: ProcessEnd | undefined = inOrder;

  constructor(pid: number) {
    this.pid = pid;
  }

  serve(): void {
    this.#serves.resolve("http://127.0.0.1:1");
  }

  end(how: ProcessEnd): void {
    this.#ended.resolve(how);
  }

  kill(signal: "SIGTERM" | "SIGKILL"): void {
    this.signals.push(signal);
    if (signal === "SIGKILL") {
      this.end(killed);
    } else if (this.endsWith) {
      this.end(this.endsWith);
    }
  }
}

class Scene {
  readonly started: FakeProcess[] = [];
  readonly waits: number[] = [];
  now = 0;
  /** Whether a process serves as soon as it is started. */
  servesAtOnce = true;
  readonly processes: Processes;

  constructor(count: number) {
    this.processes = new Processes({
      count,
      drainTimeoutMs: 0,
      logger: pino({ level: "silent" }),
      start: () => {
        const started = new FakeProcess(this.started.length + 1);
        this.started.push(started);
        if (this.servesAtOnce) {
          started.serve();
        }
        return started;
      },
      now: () => this.now,
      wait: async (ms) => void this.waits.push(ms),
    });
  }

  /** The n-th that was started, from 1. */
  at(pid: number): FakeProcess {
    return this.started[pid - 1] as FakeProcess;
  }

  startedOnes(count: number): Promise<unknown> {
    return waitFor(`${count} have been started`, () => this.started.length === count);
  }
}

describe("several processes", () => {
  test("are started when every one serves", async () => {
    const scene = new Scene(2);
    scene.servesAtOnce = false;
    let url: string | undefined;
    const starting = scene.processes.start().then((each) => {
      url = each;
    });
    scene.at(1).serve();
    await Promise.resolve();
    expect(url).toBeUndefined();
    scene.at(2).serve();
    await starting;
    expect(url).toBe("http://127.0.0.1:1");
  });

  test("are not started at all where one cannot be", async () => {
    const scene = new Scene(2);
    scene.servesAtOnce = false;
    const starting = scene.processes.start();
    scene.at(1).serve();
    scene.at(2).end({ code: 1, signal: null });
    await expect(starting).rejects.toThrow("process 2 ended before it served, with 1");
    expect(scene.at(1).signals).toEqual(["SIGKILL"]);
    expect(scene.started).toHaveLength(2);
  });

  test("are replaced one by one when they end by themselves", async () => {
    const scene = new Scene(2);
    await scene.processes.start();
    scene.at(1).end(killed);
    await scene.startedOnes(3);
    scene.at(3).end(inOrder);
    await scene.startedOnes(4);
    expect(scene.at(2).signals).toEqual([]);
    expect(scene.waits).toHaveLength(2);
  });

  test("are all stopped where one ends again and again, and not where it served for a while in between", async () => {
    const scene = new Scene(2);
    await scene.processes.start();
    let gaveUp = false;
    void scene.processes.gaveUp.then(() => {
      gaveUp = true;
    });
    const endLast = async () => {
      const count = scene.started.length;
      scene.at(count).end(killed);
      await scene.startedOnes(count + 1);
    };
    for (let failures = 0; failures < 7; failures++) {
      await endLast();
    }
    scene.now += 60_000;
    for (let failures = 0; failures < 8; failures++) {
      await endLast();
    }
    expect(gaveUp).toBe(false);
    scene.at(scene.started.length).end(killed);
    await scene.processes.gaveUp;
    expect(scene.at(1).signals).toEqual(["SIGTERM"]);
  });

  test("stop together, and one that is on its way is not waited for to serve", async () => {
    const scene = new Scene(2);
    await scene.processes.start();
    scene.servesAtOnce = false;
    scene.at(1).end(killed);
    await scene.startedOnes(3);
    scene.at(3).endsWith = { code: null, signal: "SIGTERM" };
    await scene.processes.stop();
    expect(scene.at(2).signals).toEqual(["SIGTERM"]);
    expect(scene.at(3).signals).toEqual(["SIGTERM"]);
    expect(scene.started).toHaveLength(3);
  });

  test("that do not stop in order are told", async () => {
    const scene = new Scene(2);
    await scene.processes.start();
    scene.at(2).endsWith = { code: 1, signal: null };
    await expect(scene.processes.stop()).rejects.toThrow("process 2 did not stop in order, with 1");
  });
});

test("a port that somebody listens on is refused, also where that one would share it", async () => {
  const other = net.createServer();
  await new Promise<void>((resolve) => other.listen({ host: "127.0.0.1", port: 0, reusePort: true }, resolve));
  const { port } = other.address() as net.AddressInfo;
  await expect(freePort("127.0.0.1", port)).rejects.toThrow("EADDRINUSE");
  await new Promise((resolve) => other.close(resolve));
  expect(await freePort("127.0.0.1", port)).toBe(port);
});

test.each(["2", "0"])("--processes %s is refused with embedded storage", (processes) => {
  expect(() => gatewaySettings.read(["--processes", processes], {})).toThrow(
    `--processes ${processes}: more than one need --redis-url or --redis-cluster-nodes; a data directory is open in one process`,
  );
});
