/**
 * What a Redis forgets, measured: writers append to rooms as fast as they are answered, something happens to the server,
 * and what it comes back with is compared with what it had acknowledged. Nothing is stored meanwhile, so this is Redis'
 * own loss, with no worker to have saved any of it.
 */
import { openRedisRoomLog, type RedisRoomLog } from "../../../storage/log/redis/redis-room-log.ts";
import type { LogEntry, LostRange } from "../../../storage/log/room-log.ts";
import { comparePositions, formatPosition, type Position } from "../../../storage/position.ts";
import { waitFor } from "../../harness/wait-for.ts";

export interface RedisLossOptions {
  /** Where the writers find the server. */
  readonly url: string;
  /** How long they write before the harm. */
  readonly talkMs: number;
  readonly rooms?: number;
  readonly writers?: number;
  /** Each writer pauses so long after every answer, ms. Default 0. */
  readonly pauseMs?: number;
  /**
   * Does the harm, and brings the server, or its successor, back at the same URL. It calls `cut` right before the server
   * is gone: what is answered later is of another life.
   */
  harm(cut: () => void): Promise<void>;
}

export interface RedisLoss {
  readonly acked: number;
  readonly refused: number;
  readonly ackedPerSecond: number;
  /** Acknowledged, and not there afterwards. */
  readonly lost: number;
  /** From the first to the last acknowledgement that is lost. 0: nothing is lost. */
  readonly windowMs: number;
  /** Positions that stood for two different entries, among those acknowledged, delivered and read afterwards. */
  readonly reused: number;
  /** Rooms that lost something, and those of them whose reader was told. */
  readonly roomsWithLoss: number;
  readonly roomsTold: number;
  /** From when the server was back until a send was accepted again. */
  readonly backMs: number;
}

const eventBytes = 200;

export async function measureRedisLoss(options: RedisLossOptions): Promise<RedisLoss> {
  const { url, talkMs, rooms = 8, writers = 16, pauseMs = 0 } = options;
  const roomIds = Array.from({ length: rooms }, (_, n) => `room-${n}`);
  const log = await openLossLog(url, rooms);
  try {
    const record = new LossRecord();
    for (const roomId of roomIds) {
      await log.follow(roomId, {
        entry: (entry) => record.saw(entry),
        lost: (range) => record.told(roomId, range),
      });
    }
    let isCut = false;
    let cutMs = 0;
    const startedMs = performance.now();
    const write = async (writer: number) => {
      for (let n = 0; !isCut; n++) {
        const roomId = roomIds[(writer + n) % rooms] as string;
        await record.append(log, roomId, `w${writer}-${n}`, () => isCut);
        if (pauseMs > 0) {
          await Bun.sleep(pauseMs);
        }
      }
    };
    const writing = Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
    await Bun.sleep(talkMs);
    await options.harm(() => {
      isCut = true;
      cutMs = performance.now();
    });
    const backAtMs = performance.now();
    await writing;
    await waitFor("the log is open again", () => log.isUp, 30_000);
    for (const roomId of roomIds) {
      await waitFor(
        `room ${roomId} takes a message again`,
        () => record.append(log, roomId, `after-${roomId}`, () => false),
        30_000,
      );
    }
    const backMs = performance.now() - backAtMs;
    const after = await Promise.all(roomIds.map((roomId) => everything(log, roomId)));
    return {
      ...(await record.judge(after.flat())),
      ackedPerSecond: (record.acked / (cutMs - startedMs)) * 1_000,
      backMs,
    };
  } finally {
    await log.close();
  }
}

/** A log that no worker empties and that nothing fills. */
function openLossLog(url: string, rooms: number): Promise<RedisRoomLog> {
  return openRedisRoomLog({
    endpoint: { url },
    shards: rooms,
    answerTimeoutMs: 1_000,
    compareIntervalMs: 500,
    persistLogEntriesMax: 10_000_000,
    shardLogEntriesMax: 10_000_000,
  });
}

export interface SplitBrain
  extends Pick<RedisLoss, "acked" | "refused" | "lost" | "reused" | "roomsWithLoss" | "roomsTold"> {
  /** Acknowledged by the old primary after its replica was cut off, and by the new one meanwhile. */
  readonly ackedByOld: number;
  readonly ackedByNew: number;
  /** How long the old primary went on to acknowledge. */
  readonly oldAckedForMs: number;
}

/**
 * Two gateways' logs, of which one still reaches the old primary after its replica has become another.
 * @param split makes the two, and leads the log at `front` to the new one
 * @param heal ends the old primary's reign: it becomes the replica of the new one
 */
export async function measureSplitBrain(parts: {
  front: string;
  old: string;
  splitForMs: number;
  split(): Promise<void>;
  heal(): Promise<void>;
}): Promise<SplitBrain> {
  const rooms = 8;
  const roomIds = Array.from({ length: rooms }, (_, n) => `room-${n}`);
  const record = new LossRecord();
  const [moved, stayed] = await Promise.all([openLossLog(parts.front, rooms), openLossLog(parts.old, rooms)]);
  try {
    for (const roomId of roomIds) {
      await stayed.follow(roomId, { entry: (entry) => record.saw(entry), lost: (range) => record.told(roomId, range) });
    }
    let isOver = false;
    let splitMs = Number.POSITIVE_INFINITY;
    let [ackedByNew, ackedByOld, oldAckedForMs] = [0, 0, 0];
    const write = async (log: RedisRoomLog, name: string, acked: () => void) => {
      for (let n = 0; !isOver; n++) {
        if (await record.append(log, roomIds[n % rooms] as string, `${name}-${n}`, () => isOver)) {
          acked();
        }
      }
    };
    const writing = Promise.all([
      ...["a", "b", "c", "d"].map((name) =>
        write(moved, `moved-${name}`, () => {
          ackedByNew += performance.now() > splitMs ? 1 : 0;
        }),
      ),
      ...["a", "b", "c", "d"].map((name) =>
        write(stayed, `stayed-${name}`, () => {
          if (performance.now() > splitMs) {
            ackedByOld += 1;
            oldAckedForMs = performance.now() - splitMs;
          }
        }),
      ),
    ]);
    await Bun.sleep(1_000);
    splitMs = performance.now();
    await parts.split();
    await Bun.sleep(parts.splitForMs);
    isOver = true;
    await writing;
    await parts.heal();
    // What was read of the old one's life is compared with what is there now; here, too, somebody must write again.
    for (const roomId of roomIds) {
      await waitFor(
        `room ${roomId} takes a message again`,
        () => record.append(moved, roomId, `after-${roomId}`, () => false),
        30_000,
      );
    }
    const after = await Promise.all(roomIds.map((roomId) => everything(moved, roomId)));
    const { windowMs: _, ...verdict } = await record.judge(after.flat());
    return { ...verdict, ackedByNew, ackedByOld, oldAckedForMs };
  } finally {
    await Promise.all([moved.close(), stayed.close()]);
  }
}

async function everything(log: RedisRoomLog, roomId: string): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for (;;) {
    const after = entries.at(-1)?.position;
    // Each of the log's connections comes back by itself.
    const page = await waitFor(
      `room ${roomId} can be read`,
      () => log.readAfter(roomId, after, 1_000).catch(() => undefined),
      30_000,
    );
    entries.push(...page.entries);
    if (page.entries.length === 0) {
      return entries;
    }
  }
}

/** What was acknowledged, delivered and told. */
class LossRecord {
  /** By "<room> <position>". */
  readonly #acks = new Map<string, { key: string; atMs: number }>();
  readonly #keys = new Map<string, Set<string>>();
  readonly #tops = new Map<string, Position>();
  readonly #told = new Map<string, LostRange[]>();
  #refused = 0;

  get acked(): number {
    return this.#acks.size;
  }

  /** @returns whether it was accepted */
  async append(log: RedisRoomLog, roomId: string, key: string, isCut: () => boolean): Promise<boolean> {
    const event = new TextEncoder().encode(key.padEnd(eventBytes));
    try {
      const { position } = await log.append({ roomId, event, dedupe: { key, digest: key } });
      if (!isCut()) {
        this.#acks.set(`${roomId} ${formatPosition(position)}`, { key, atMs: performance.now() });
        this.#stands(roomId, position, key);
        return true;
      }
    } catch {
      this.#refused += 1;
      // A server that is away refuses at once.
      await Bun.sleep(5);
    }
    return false;
  }

  saw({ roomId, position, event }: LogEntry): void {
    this.#stands(roomId, position, keyOf(event));
    const top = this.#tops.get(roomId);
    if (!top || comparePositions(position, top) > 0) {
      this.#tops.set(roomId, position);
    }
  }

  told(roomId: string, range: LostRange): void {
    this.#told.set(roomId, [...(this.#told.get(roomId) ?? []), range]);
  }

  async judge(entries: readonly LogEntry[]) {
    const there = new Set<string>();
    for (const { roomId, position, event } of entries) {
      there.add(`${roomId} ${formatPosition(position)}`);
      this.#stands(roomId, position, keyOf(event));
    }
    const lost = [...this.#acks].filter(([at]) => !there.has(at));
    const times = lost.map(([, { atMs }]) => atMs).toSorted((a, b) => a - b);
    const roomsWithLoss = new Set(lost.map(([at]) => at.split(" ")[0] as string));
    await waitFor(
      "readers of rooms with a loss are told",
      () => [...roomsWithLoss].every((roomId) => this.#told.has(roomId)),
      10_000,
    ).catch(() => {});
    return {
      acked: this.#acks.size,
      refused: this.#refused,
      lost: lost.length,
      windowMs: (times.at(-1) ?? 0) - (times[0] ?? 0),
      reused: [...this.#keys.values()].filter((keys) => keys.size > 1).length,
      roomsWithLoss: roomsWithLoss.size,
      roomsTold: [...roomsWithLoss].filter((roomId) => this.#told.has(roomId)).length,
    };
  }

  #stands(roomId: string, position: Position, key: string): void {
    const at = `${roomId} ${formatPosition(position)}`;
    const keys = this.#keys.get(at) ?? new Set();
    this.#keys.set(at, keys.add(key));
  }
}

function keyOf(event: Uint8Array): string {
  return new TextDecoder().decode(event.subarray(0, eventBytes)).trimEnd();
}
