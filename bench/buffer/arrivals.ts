/**
 * The gateway's side of the experiment, in a process of its own: messages come at an even rate, whatever became of those
 * before (an open loop), and each is either one insert into Cassandra ("direct") or one append to the log in Redis
 * ("buffered"). The rpc in front of that costs the same in both ways and is left out, so that it is not the limit.
 *
 * A message's time runs from when it was due, so what waited for this process is in it.
 */
import { Client, errors } from "cassandra-driver";
import { insertOf } from "../../storage/history/cassandra-history-store.ts";
import { encodeMessage } from "../../storage/log/log-event.ts";
import { openRedisRoomLog } from "../../storage/log/redis/redis-room-log.ts";
import { obeyParent } from "../measuring/asked-process.ts";
import { chatMessages } from "../measuring/chat-messages.ts";
import { quantile, quantileOrNull } from "../measuring/quantile.ts";

export interface ArrivalsCommand {
  way: "direct" | "buffered";
  ratePerSecond: number;
  seconds: number;
  roomIds: string[];
  /** Messages that may wait for their answer; one that comes beyond is refused. */
  inFlightMax: number;
  redisUrl: string;
  contactPoint: string;
  localDataCenter: string;
  keyspace: string;
}

export interface ArrivalsReport {
  arrived: number;
  accepted: number;
  /** How many got an error instead, by what it says. */
  failed: Record<string, number>;
  /** From when a message was due to its answer, also where that was an error, but not of those refused at once; null where there are none. */
  p50Ms: number | null;
  p99Ms: number | null;
  /** Of those accepted alone. */
  acceptedP99Ms: number | null;
  /** How much later than due this process took messages in: large where it is the limit itself. */
  lateP99Ms: number;
  mostInFlight: number;
}

/** Takes one message; resolves when the sender may be told that it is taken. */
type Take = (roomId: string, seq: number, event: Uint8Array) => Promise<unknown>;

/** So many streams a connection of Cassandra's protocol has: the driver's own 2,048 would be met before Cassandra's limit. */
const streamsMax = 32_768;
/** Between two looks at what is due. */
const tickMs = 1;

const nextMessage = chatMessages();

obeyParent(async (command: ArrivalsCommand): Promise<ArrivalsReport> => {
  const { take, close } = await (command.way === "direct" ? openDirect(command) : openBuffered(command));
  try {
    return await arrive(command, take);
  } finally {
    await close();
  }
});

async function arrive(command: ArrivalsCommand, take: Take): Promise<ArrivalsReport> {
  const { ratePerSecond, seconds, roomIds, inFlightMax } = command;
  const failed: Record<string, number> = {};
  const fail = (why: string) => {
    failed[why] = (failed[why] ?? 0) + 1;
  };
  const tookMs: number[] = [];
  const acceptedMs: number[] = [];
  const lateMs: number[] = [];
  const answers: Promise<void>[] = [];
  let inFlight = 0;
  let mostInFlight = 0;
  const begin = async (n: number, dueMs: number) => {
    inFlight += 1;
    mostInFlight = Math.max(mostInFlight, inFlight);
    try {
      const roomId = roomIds[n % roomIds.length] ?? "";
      await take(roomId, Math.floor(n / roomIds.length), encodeMessage(nextMessage()));
      acceptedMs.push(performance.now() - dueMs);
    } catch (error) {
      fail(whatFailed(error));
    } finally {
      tookMs.push(performance.now() - dueMs);
      inFlight -= 1;
    }
  };
  const arrived = ratePerSecond * seconds;
  const startedMs = performance.now();
  for (let n = 0; n < arrived; ) {
    const nowMs = performance.now();
    for (; n < arrived; n += 1) {
      const dueMs = startedMs + (n * 1_000) / ratePerSecond;
      if (dueMs > nowMs) {
        break;
      }
      lateMs.push(performance.now() - dueMs);
      if (inFlight >= inFlightMax) {
        fail("refused: too many in flight");
      } else {
        answers.push(begin(n, dueMs));
      }
    }
    await Bun.sleep(tickMs);
  }
  await Promise.all(answers);
  return {
    arrived,
    accepted: acceptedMs.length,
    failed,
    p50Ms: quantileOrNull(tookMs, 0.5),
    p99Ms: quantileOrNull(tookMs, 0.99),
    acceptedP99Ms: quantileOrNull(acceptedMs, 0.99),
    lateP99Ms: quantile(lateMs, 0.99),
    mostInFlight,
  };
}

/** One insert a message, with the driver's own defaults but for the bound of a connection: no retry, 12 s until it gives up. */
async function openDirect({ contactPoint, localDataCenter, keyspace }: ArrivalsCommand) {
  const client = new Client({
    contactPoints: [contactPoint],
    localDataCenter,
    keyspace,
    pooling: { maxRequestsPerConnection: streamsMax },
    encoding: { useBigIntAsLong: true },
    monitorReporting: { enabled: false },
  });
  await client.connect();
  const epoch = Date.now();
  const take: Take = (roomId, seq, event) => {
    const { query, params } = insertOf({ roomId, position: { epoch, seq }, acceptedMs: Date.now(), event });
    return client.execute(query, params, { prepare: true });
  };
  return { take, close: () => client.shutdown() };
}

async function openBuffered({ redisUrl }: ArrivalsCommand) {
  const log = await openRedisRoomLog({ endpoint: { url: redisUrl } });
  const take: Take = (roomId, _, event) => log.append({ roomId, event });
  return { take, close: () => log.close() };
}

/** A few words for an error, the same for all of a kind. */
function whatFailed(error: unknown): string {
  if (error instanceof errors.NoHostAvailableError) {
    const [inner] = Object.values(error.innerErrors ?? {});
    return `no host: ${inner ? whatFailed(inner) : "none tried"}`;
  }
  if (error instanceof errors.ResponseError) {
    // Native protocol v5, section 9: 0x1100 is a write timeout, 0x1001 an overloaded node.
    return error.code === 0x1100 ? "Cassandra: write timeout" : `Cassandra: ${error.message}`;
  }
  return error instanceof Error ? error.name : String(error);
}
