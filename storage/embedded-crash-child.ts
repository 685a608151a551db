/**
 * The process that `embedded.test.ts` kills: a writer with a persistence worker on the data directory of its arguments.
 * It prints a line for each append that was acknowledged, and goes on until it is killed.
 *
 *     bun storage/embedded-crash-child.ts <directory> <NORMAL|FULL> <prefix of keys>
 *     <room> <key> <position> <accepted_ms>
 */
import { writeSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { MessageSchema } from "../gen/chat/v1/message_pb.ts";
import { PersistWorker } from "../worker/persist.ts";
import { openEmbeddedStorage } from "./embedded.ts";
import { encodeMessage } from "./log/log-event.ts";
import { formatPosition } from "./position.ts";

const [directory = "", synchronous = "", prefix = ""] = process.argv.slice(2);
const { log, history, deadLetters } = openEmbeddedStorage({
  directory,
  synchronous: synchronous === "FULL" ? "FULL" : "NORMAL",
  // Small, so that entries leave memory and the journal while the test looks.
  log: { roomLogEntriesMax: 20 },
});
new PersistWorker({ log, history, deadLetters, batchEntriesMax: 50 }).start();

for (let n = 0; ; ) {
  const burst = 1 + Math.floor(Math.random() * 40);
  const sends = Array.from({ length: burst }, async () => {
    const roomId = `room-${n % 3}`;
    const key = `${prefix}-${n}`;
    n += 1;
    const event = encodeMessage(create(MessageSchema, { text: key, clientMessageId: key }));
    const { position, acceptedMs } = await log.append({ roomId, event, dedupe: { key, digest: key } });
    // Not buffered: a line that was printed is out of this process.
    writeSync(1, `${roomId} ${key} ${formatPosition(position)} ${acceptedMs}\n`);
  });
  await Promise.all(sends);
}
