/** Messages for benchmarks: the lines of the sample chat, from a thousand people, so that sizes and words are those of a chat. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type Message, MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { seededRandom } from "../../lib/seeded-random.ts";
import { parseChatLines } from "../feed/chat-lines.ts";
import { makePeople } from "../feed/people.ts";

const peopleCount = 1_000;

/** A new message each time it is called, with a client message id of its own. */
export function chatMessages(): () => Message {
  const { lines } = parseChatLines(readFileSync(join(import.meta.dir, "../feed/sample-chat.txt"), "utf8"));
  const people = makePeople(peopleCount, 1, seededRandom(1));
  let n = 0;
  return () => {
    const author = people[n % people.length];
    const text = lines[n % lines.length] ?? "";
    n += 1;
    return create(MessageSchema, { author, text, clientMessageId: crypto.randomUUID() });
  };
}

/** Ids of rooms that nobody has used. */
export function freshRooms(count: number): string[] {
  const run = crypto.randomUUID().slice(0, 8);
  return Array.from({ length: count }, (_, n) => `bench-${run}-${n}`);
}
