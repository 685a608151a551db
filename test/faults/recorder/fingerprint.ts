/** How a message is named in a history: by the key that repetitions are recognised by, and by what its sender gave. */
import type { Author } from "../../../gen/chat/v1/message_pb.ts";
import { userKeyOf } from "../../../storage/user-key.ts";

type AuthorFields = Pick<Author, "userId" | "name" | "avatar">;

export interface MessageFields {
  readonly clientMessageId: string;
  readonly author?: AuthorFields | undefined;
  readonly text: string;
}

const nobody: AuthorFields = { userId: "", name: "", avatar: "" };

export function fingerprint(message: MessageFields): { key: string; hash: string } {
  const author = message.author ?? nobody;
  const { userId, name, avatar } = author;
  return {
    key: `${userKeyOf(author as Author)}/${message.clientMessageId}`,
    hash: Bun.hash(JSON.stringify([userId, name, avatar, message.text])).toString(36),
  };
}
