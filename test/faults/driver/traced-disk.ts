/**
 * The disk under a Redis, seen through strace: how much of its append-only file the disk had acknowledged at any moment. So
 * a test can take away what was not, as a loss of power does; killing a process never does, because the kernel still has
 * what it wrote. It can also hold the disk up: every fdatasync then takes that long.
 *
 * Needs strace, and a process that may be traced (root, or one's own where ptrace is allowed).
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readdir, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RedisServer } from "../../harness/redis.ts";

export class TracedDisk {
  readonly #directory = mkdtempSync(join(tmpdir(), "streaming-chat-trace-"));
  readonly #stallMs: number;

  /** @param stallMs how long each fdatasync is held up. 0: not at all */
  constructor({ stallMs = 0 } = {}) {
    if (!Bun.which("strace")) {
      throw new Error("strace is missing on this machine (Debian's package strace); install it");
    }
    this.#stallMs = stallMs;
  }

  /** For RedisOptions.launcher. With -D the tracer is a grandchild: who signals the process signals Redis. */
  get launcher(): readonly string[] {
    const stall = this.#stallMs > 0 ? ["-e", `inject=fdatasync:delay_enter=${this.#stallMs * 1_000}`] : [];
    return ["strace", "-D", "-f", "-qq", "-y", "-s", "0", "-o", this.#trace, "-e", "trace=write,fdatasync", ...stall];
  }

  get #trace(): string {
    return join(this.#directory, "trace");
  }

  /**
   * Call it when the server has been killed: cuts its append-only file to what the disk had acknowledged.
   * @returns bytes that went
   */
  async losePower(server: RedisServer): Promise<number> {
    const durable = acknowledgedBytes(readFileSync(this.#trace, "utf8"));
    const folder = join(server.directory, "appendonlydir");
    const names = (await readdir(folder)).filter((name) => name.endsWith(".incr.aof"));
    const file = join(folder, names.sort().at(-1) ?? "");
    const { size } = await stat(file);
    const kept = Math.min(size, durable);
    await truncate(file, kept);
    return size - kept;
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/**
 * How much of the append-only file, which was empty when the trace began, a finished fdatasync covers. A trace has
 * `12 write(8</…/appendonly.aof.1.incr.aof>, ""..., 200) = 200` and `13 fdatasync(8</…>) = 0`, both also in two lines where
 * another thread's call came between: `… <unfinished ...>`, `13 <... fdatasync resumed>) = 0`.
 */
function acknowledgedBytes(trace: string): number {
  let written = 0;
  let durable = 0;
  /** By thread: what was written when its fdatasync began. */
  const syncing = new Map<string, number>();
  /** Threads that are about to write to the file. */
  const writing = new Set<string>();
  for (const line of trace.split("\n")) {
    const [, thread = "", call = "", rest = ""] =
      /^(\d+)\s+(?:<\.\.\. )?(write|fdatasync)(?:\(| resumed>)(.*)$/.exec(line) ?? [];
    const isResumed = line.includes(" resumed>");
    const result = Number(/ = (-?\d+)/.exec(rest)?.[1] ?? Number.NaN);
    if (!isResumed && !rest.includes(".incr.aof>")) {
      continue;
    }
    if (call === "write") {
      if (!isResumed) {
        writing.add(thread);
      }
      if (!Number.isNaN(result) && writing.delete(thread)) {
        written += Math.max(0, result);
      }
    } else {
      if (!isResumed) {
        syncing.set(thread, written);
      }
      if (result === 0) {
        durable = Math.max(durable, syncing.get(thread) ?? 0);
        syncing.delete(thread);
      }
    }
  }
  return durable;
}
