/** The colour of an author: always the same for the same id, out of eight that are readable on both themes. */
import type { Author } from "../../gen/chat/v1/message_pb.ts";

/** For the scene, which is night in both themes. Text takes the custom property --author-N instead. */
const stickColours = ["#ff7a5c", "#42c6aa", "#f4c04e", "#6aa9ec", "#e58ac2", "#a3cf62", "#f0a35e", "#b79cf0"] as const;

export function authorHue(author: Author | undefined): number {
  const id = author?.userId || author?.name || "";
  let hash = 0;
  for (let i = 0; i < id.length; i++) hash = (hash * 31 + id.charCodeAt(i)) >>> 0;
  return hash % stickColours.length;
}

export function stickColour(author: Author | undefined): string {
  return stickColours[authorHue(author)] as string;
}
