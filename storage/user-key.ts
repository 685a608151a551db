/** Whom a message counts for, where people are told apart: dedupe and hot words. */
import type { Author } from "../gen/chat/v1/message_pb.ts";

/** An author without an id is their name. The prefixes keep a name from being taken for somebody's id. */
export function userKeyOf({ userId, name }: Author): string {
  return userId === "" ? `name:${name}` : `id:${userId}`;
}
