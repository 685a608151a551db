/** Entries that can never be stored get into the workers' log, and what comes after them must not wait. */
import { create, toBinary } from "@bufbuild/protobuf";
import { EventSchema } from "../../../../gen/chat/v1/event_pb.ts";
import { waitFor } from "../../../harness/wait-for.ts";
import type { Member } from "../../driver/deployment.ts";
import type { PlannedRun } from "../../driver/fault-run.ts";
import { RecordedSender } from "../../recorder/recorded-sender.ts";
import type { FaultRow } from "../fault-row.ts";
import { median, milliseconds, redisOf, runPlanned, verdictFigures } from "../planned-row.ts";
import { countDeadLetters, countUnstored, listPending, shardLogOf } from "../unstored.ts";

const bigBytes = 20 * 1_048_576;
const nothingRuns = 5;
/** Of this room the poison says that it is; there is none of that name. */
const nowhere = "nowhere";
/** Field 900, of a release that is not this one: no poison, it is stored as it is. */
const laterSchema = Buffer.of(0xa2, 0x38, 0x03, 0x6e, 0x65, 0x77);

/** What is put into the log: the fields after room, position and time, or fields that are none of ours. */
interface Poison {
  readonly what: string;
  readonly event: Buffer;
  readonly isGarbage?: boolean;
}

const poisons: readonly Poison[] = [
  { what: "fields that nobody knows", event: Buffer.from("what is this"), isGarbage: true },
  // Wire type 7, which does not exist.
  { what: "bytes that are no protobuf", event: Buffer.of(0x0f, 0xff, 0xff, 0x07) },
  { what: "a message of 20 MB", event: messageOf(bigBytes) },
];

export const poisonEntries: FaultRow = {
  name: "poison-entries",
  fault:
    "Somebody else's entries in the workers' log: unknown fields, no protobuf, 20 MB; one of a later schema; one that is deleted while a worker that dies has it in hand",
  holds:
    "what cannot be stored becomes a dead letter with its bytes, and delays no other entry for longer than its own tries; the deleted one stops nobody",
  async run(context) {
    const toDead: [string, string][] = [];
    const good: [string, string][] = [];
    let usualMs = Number.NaN;
    const result = await runPlanned(context, {
      load: { messagesPerSecond: 10 },
      async plan(run) {
        const { deployment, load } = run;
        const redis = redisOf(deployment);
        const room = load.roomIds[0] as string;
        const sender = new RecordedSender({
          n: 0,
          author: { userId: "good", name: "good" },
          baseUrls: deployment.gatewayUrls,
          history: run.history,
        });
        let sent = 0;
        const sendAndWait = async () => {
          const atMs = performance.now();
          const id = `good-${sent++}`;
          const outcome = await sender.send(room, id, id);
          if (outcome.kind !== "ok") {
            throw new Error(`a good entry was refused: ${outcome.code}`);
          }
          const { position } = outcome.sent;
          await waitFor("the good entry is stored", () => isStored(run, room, position), 60_000);
          return performance.now() - atMs;
        };
        const usual: number[] = [];
        for (let left = nothingRuns; left > 0; left--) {
          usual.push(await sendAndWait());
        }
        usualMs = median(usual);
        for (const [at, poison] of poisons.entries()) {
          await run.strike(
            {
              name: "poison-entries",
              about: poison.what,
              kind: "worker",
              async inject() {
                const startMs = performance.now();
                const id = await addPoison(redis, room, at, poison);
                const [goodMs, deadMs] = await Promise.all([
                  sendAndWait(),
                  waitFor(
                    `${poison.what} is a dead letter`,
                    async () => (await countDeadLetters(redis)) > at,
                    60_000,
                  ).then(() => performance.now() - startMs),
                ]);
                await checkLetter(redis, id, poison);
                toDead.push([`to the dead letters: ${poison.what}`, milliseconds(deadMs)]);
                good.push([`next good entry stored after ${poison.what}`, milliseconds(goodMs)]);
              },
            },
            workerOf(run),
          );
        }
        await add(redis, room, poisons.length + 1, laterSchema);
        good.push([
          "next good entry stored after an event of a later schema, which is stored",
          milliseconds(await sendAndWait()),
        ]);
        await waitFor("the event of a later schema is stored", () => isStored(run, nowhere, `1-${poisons.length + 1}`));
        await run.strike(
          {
            name: "poison-entries",
            about: "deleted in hand",
            kind: "worker",
            async inject() {
              const ms = await deleteInHand(run, room, sendAndWait);
              good.push(["next good entry stored after one that was deleted in hand", milliseconds(ms)]);
            },
          },
          workerOf(run),
        );
        await waitFor("nothing is left in hand", async () => (await countUnstored(redis, [room])) < 10, 60_000);
        if ((await countDeadLetters(redis)) !== poisons.length) {
          throw new Error(`${await countDeadLetters(redis)} dead letters, expected ${poisons.length}`);
        }
      },
    });
    return [
      ...verdictFigures(result),
      ...toDead,
      ["a good entry stored, without poison", milliseconds(usualMs)],
      ...good,
    ];
  },
};

/** Puts a poison entry into the shard of the room, not into the room's own log. @returns the name of its letter */
async function addPoison(redis: Member, room: string, at: number, { event, isGarbage }: Poison): Promise<string> {
  if (isGarbage) {
    return ` ${await redis.command?.("XADD", shardLogOf(room), "*", "what", event)}`;
  }
  await add(redis, room, at, event);
  return `${nowhere} 1-${at}`;
}

/** @throws {Error} the dead letter does not end with the entry's bytes */
async function checkLetter(redis: Member, name: string, { what, event }: Poison): Promise<void> {
  const length = Number(await redis.command?.("HSTRLEN", "{chat:dead}:letters", name));
  // The head and the error, at most 2,000 bytes, come before.
  if (length < event.length || length > event.length + 3_000) {
    throw new Error(`the dead letter of ${what} has ${length} bytes, the entry had ${event.length}`);
  }
}

/**
 * Holds Cassandra still until a worker has an entry in hand, deletes that from the log and kills the worker: who takes over
 * finds an entry that is not there.
 * @returns how long a good entry took from there, ms
 */
async function deleteInHand({ deployment }: PlannedRun, room: string, sendAndWait: () => Promise<number>) {
  const redis = redisOf(deployment);
  const cassandra = deployment.members.find(({ kind }) => kind === "cassandra") as Member;
  let worker: Member | undefined;
  cassandra.freeze();
  try {
    const id = await add(redis, room, poisons.length, messageOf(10));
    await waitFor("a worker has the entry in hand", async () => {
      const holder = (await listPending(redis, [room])).find((entry) => entry.id === id)?.worker;
      worker = deployment.members.find(({ name }) => name === holder);
      return worker;
    });
    await redis.command?.("XDEL", shardLogOf(room), id);
    await worker?.end("SIGKILL");
  } finally {
    cassandra.thaw();
  }
  await worker?.start();
  return sendAndWait();
}

/** Into the shard of the room, as an entry of a room that nobody reads. @returns the entry's id */
async function add(redis: Member, room: string, seq: number, event: Buffer): Promise<string> {
  const fields = ["r", nowhere, "p", `1-${seq}`, "t", String(Date.now()), "e", event];
  return String(await redis.command?.("XADD", shardLogOf(room), "*", ...fields));
}

async function isStored({ deployment }: PlannedRun, room: string, position: string): Promise<boolean> {
  for await (const row of deployment.stored.rows(room)) {
    if (row.position === position) {
      return true;
    }
  }
  return false;
}

function workerOf({ deployment }: PlannedRun): Member {
  return deployment.members.find(({ kind }) => kind === "worker") as Member;
}

function messageOf(bytes: number): Buffer {
  const event = create(EventSchema, { kind: { case: "message", value: { text: "x".repeat(bytes) } } });
  return Buffer.from(toBinary(EventSchema, event));
}
