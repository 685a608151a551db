/**
 * The benchmark's floors, in a process of their own: appending without a gateway.
 *
 *     script        append.lua as the `redis` package sends it, with the arguments it has from the gateway: the least that a send can cost
 *     redis-log     the room log on Redis
 *     embedded-log  the room log in this process, journal in SQLite
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import type { Message } from "../../gen/chat/v1/message_pb.ts";
import { openEmbeddedStorage } from "../../storage/embedded.ts";
import { encodeMessage } from "../../storage/log/log-event.ts";
import appendSource from "../../storage/log/redis/append.lua" with { type: "text" };
import { RedisKeys, shardsDefault } from "../../storage/log/redis/redis-keys.ts";
import { openRedisRoomLog } from "../../storage/log/redis/redis-room-log.ts";
import type { RoomLog } from "../../storage/log/room-log.ts";
import { userKeyOf } from "../../storage/user-key.ts";
import { obeyParent } from "../measuring/asked-process.ts";
import { chatMessages } from "../measuring/chat-messages.ts";
import { type ClosedLoopResult, closedLoop } from "../measuring/closed-loop.ts";

export interface AppendCommand {
  way: "script" | "redis-log" | "embedded-log";
  redisUrl: string;
  roomIds: string[];
  inFlight: number;
  seconds: number;
}

/** Says one message in a room. */
type Append = (roomId: string, message: Message) => Promise<unknown>;

/** More than any round brings: here no worker empties the embedded log. */
const entriesMax = 2_000_000;

const nextMessage = chatMessages();

obeyParent(async ({ way, redisUrl, roomIds, inFlight, seconds }: AppendCommand): Promise<ClosedLoopResult> => {
  const { append, close } = await open(way, redisUrl);
  let n = 0;
  try {
    return await closedLoop(inFlight, seconds, () => append(roomIds[n++ % roomIds.length] ?? "", nextMessage()));
  } finally {
    await close();
  }
});

async function open(way: AppendCommand["way"], redisUrl: string): Promise<{ append: Append; close(): Promise<void> }> {
  if (way === "script") {
    return openScript(redisUrl);
  }
  if (way === "redis-log") {
    const log = await openRedisRoomLog({ endpoint: { url: redisUrl } });
    return { append: appendTo(log), close: () => log.close() };
  }
  const directory = mkdtempSync(join(tmpdir(), "streaming-chat-bench-"));
  const storage = openEmbeddedStorage({
    directory,
    log: { persistLogEntriesMax: entriesMax, entriesInMemoryMax: entriesMax },
  });
  const close = async () => {
    await storage.close();
    rmSync(directory, { recursive: true });
  };
  return { append: appendTo(storage.log), close };
}

function appendTo(log: RoomLog): Append {
  return (roomId, message) =>
    log.append({ roomId, event: encodeMessage(message), dedupe: { key: keyOf(message), digest: digestOf(message) } });
}

async function openScript(url: string) {
  const client = await createClient({ url }).connect();
  const info = String(await client.sendCommand(["INFO", "server", "replication"]));
  const incarnation = `${/run_id:(\w+)/.exec(info)?.[1]}:${/master_replid:(\w+)/.exec(info)?.[1]}`;
  await client.scriptLoad(appendSource);
  const sha = createHash("sha1").update(appendSource).digest("hex");
  const names = new RedisKeys("chat", shardsDefault);
  const append: Append = async (roomId, message) => {
    const shardLog = names.shardLog(names.shardOf(roomId));
    const keys = [names.roomLog(roomId), names.state(roomId), shardLog, names.once(roomId, keyOf(message))];
    const event = Buffer.from(encodeMessage(message));
    const bounds = ["20000", "60000"];
    const once = [digestOf(message), "300000"];
    const args = [incarnation, roomId, names.channel(roomId), event, "", ...bounds, "", "0", ...once];
    const reply = (await client.sendCommand(["EVALSHA", sha, String(keys.length), ...keys, ...args])) as unknown[];
    if (reply[0] !== "ok") {
      throw new Error(`append.lua answered ${JSON.stringify(reply)}`);
    }
  };
  return { append, close: async () => client.destroy() };
}

function keyOf({ author, clientMessageId }: Message): string {
  return `${author ? userKeyOf(author) : ""}/${clientMessageId}`;
}

function digestOf({ text }: Message): string {
  return Bun.hash(text).toString(36);
}
