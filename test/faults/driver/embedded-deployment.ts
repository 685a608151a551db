/** The smallest deployment: one gateway that keeps everything itself, in one directory. */
import { Database } from "bun:sqlite";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogEntry } from "../../../storage/log/room-log.ts";
import { storeRows } from "../recorder/stored-rows.ts";
import type { Deployment } from "./deployment.ts";
import { GatewayMember } from "./gateway-member.ts";

/** A drain longer than this is not what these runs are about. */
const drainTimeoutMs = 2_000;

export interface EmbeddedDeployment extends Deployment {
  /** The gateway's file. */
  readonly databaseFile: string;
}

export async function startEmbeddedDeployment(): Promise<EmbeddedDeployment> {
  const directory = await mkdtemp(join(tmpdir(), "streaming-chat-faults-"));
  const gateway = await GatewayMember.start("gateway", {
    DATA_DIRECTORY: directory,
    DRAIN_TIMEOUT_MS: String(drainTimeoutMs),
    HEARTBEAT_INTERVAL_MS: "1000",
    // Small, so that a reader who stalls is soon left messages out.
    SEND_QUEUE_BYTES_MAX: "16384",
    // Small, so that those who come back read the log and the store and not the room's memory alone.
    RECENT_ENTRIES_MAX: "64",
  });
  const databaseFile = join(directory, "chat.db");
  return {
    name: "embedded",
    databaseFile,
    gatewayUrls: [gateway.url],
    members: [gateway],
    settings: { DATA_DIRECTORY: directory },
    stored: storeRows({ page: (roomId, range) => readPage(databaseFile, roomId, range) }),
    async stop() {
      if (gateway.isRunning) {
        await gateway.end("SIGTERM");
      }
      await rm(directory, { recursive: true, force: true });
    },
  };
}

interface Row {
  epoch: number;
  seq: number;
  accepted_ms: number;
  event: Uint8Array;
}

/** Looks into the file beside the gateway, which has it locked for other gateways but not for readers (WAL). */
async function readPage(
  file: string,
  roomId: string,
  { after, entriesMax }: { after?: { epoch: number; seq: number } | undefined; entriesMax: number },
): Promise<LogEntry[]> {
  const database = new Database(file, { readonly: true });
  try {
    return database
      .query<Row, [string, number, number, number]>(
        `SELECT epoch, seq, accepted_ms, event FROM history
         WHERE room_id = ? AND (epoch, seq) > (?, ?) ORDER BY epoch, seq LIMIT ?`,
      )
      .all(roomId, after?.epoch ?? -1, after?.seq ?? -1, entriesMax)
      .map(({ epoch, seq, accepted_ms, event }) => ({
        roomId,
        position: { epoch, seq },
        acceptedMs: accepted_ms,
        event,
      }));
  } finally {
    database.close();
  }
}
