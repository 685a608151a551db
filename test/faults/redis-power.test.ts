/**
 * The durability trap: a Redis that loses what it had acknowledged, because its disk had not kept up. It counts on from an
 * older position than its readers saw; no position may be given again, and they must be told. On a real Redis whose
 * fdatasync strace holds up. How much is lost, the rows `redis-*` of `bun run test:faults -- --table` measure.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { type RedisServer, startRedis } from "../harness/redis.ts";
import { waitFor } from "../harness/wait-for.ts";
import { measureRedisLoss } from "./driver/redis-loss.ts";
import { TracedDisk } from "./driver/traced-disk.ts";

setDefaultTimeout(60_000);

/** Acknowledged and not even written to the file, because the disk is behind. */
async function hasUnwritten(server: RedisServer): Promise<boolean> {
  const [, bytes] = /aof_buffer_length:(\d+)/.exec(String(await server.command("INFO", "persistence"))) ?? [];
  return Number(bytes) > 10_000;
}

async function loseWith(
  appendfsync: string,
  stallMs: number,
  harm: (server: RedisServer, disk: TracedDisk) => Promise<unknown>,
) {
  const disk = new TracedDisk({ stallMs });
  const server = await startRedis({ settings: { appendonly: "yes", appendfsync }, launcher: disk.launcher });
  try {
    return await measureRedisLoss({
      url: server.url,
      talkMs: appendfsync === "everysec" ? 500 : 2_000,
      pauseMs: 2,
      async harm(cut) {
        if (appendfsync === "everysec") {
          await waitFor("the disk is behind", () => hasUnwritten(server));
        }
        cut();
        await server.kill("SIGKILL");
        await harm(server, disk);
        await server.start();
      },
    });
  } finally {
    await server.stop();
    disk.remove();
  }
}

test("everysec on a disk that stalls, killed: no position is given again, and readers are told of the loss", async () => {
  const loss = await loseWith("everysec", 3_000, async () => {});
  expect(loss.lost).toBeGreaterThan(0);
  expect(loss.reused).toBe(0);
  expect(loss.roomsTold).toBe(loss.roomsWithLoss);
});

test("everysec without power on such a disk: no position is given again, and readers are told of the loss", async () => {
  const loss = await loseWith("everysec", 3_000, (server, disk) => disk.losePower(server));
  expect(loss.lost).toBeGreaterThan(0);
  expect(loss.reused).toBe(0);
  expect(loss.roomsTold).toBe(loss.roomsWithLoss);
});

test("always, on a slow disk without power, loses nothing that was acknowledged", async () => {
  const loss = await loseWith("always", 100, (server, disk) => disk.losePower(server));
  expect(loss.acked).toBeGreaterThan(20);
  expect(loss).toMatchObject({ lost: 0, reused: 0 });
});
