/**
 * What a person typed: something to say, or a command. Owns nothing.
 */

export type Command =
  | { kind: "nothing" }
  | { kind: "say"; text: string }
  | { kind: "hot" | "rooms" | "who" | "help" | "quit" }
  | { kind: "join"; roomId: string }
  | { kind: "create"; roomId: string; title: string }
  /** Not understood; `complaint` says why. */
  | { kind: "unclear"; complaint: string };

/** For /help, in the order in which they are useful. */
export const commandHelp: readonly (readonly [string, string])[] = [
  ["/hot", "what the room talks about now"],
  ["/who", "how many are watching"],
  ["/rooms", "rooms that are open"],
  ["/join ROOM", "go to another room"],
  ["/create ROOM [TITLE]", "make a room and go there"],
  ["//TEXT", "say /TEXT"],
  ["/quit", "leave (also Ctrl-D)"],
];

const roomIdForm = /^[a-z0-9][a-z0-9_-]{0,63}$/;

export function parseCommand(line: string): Command {
  if (line.trim() === "") {
    return { kind: "nothing" };
  }
  if (!line.startsWith("/")) {
    return { kind: "say", text: line };
  }
  if (line.startsWith("//")) {
    return { kind: "say", text: line.slice(1) };
  }
  const [name = "", roomId = "", ...rest] = line.trim().split(/\s+/);
  switch (name) {
    case "/hot":
    case "/rooms":
    case "/who":
    case "/help":
    case "/quit":
      return { kind: name.slice(1) as "hot" | "rooms" | "who" | "help" | "quit" };
    case "/join":
    case "/create":
      if (!roomIdForm.test(roomId)) {
        return {
          kind: "unclear",
          complaint: `${name} needs a room: 1 to 64 of a–z 0–9 _ -, beginning with a letter or digit`,
        };
      }
      return name === "/join" ? { kind: "join", roomId } : { kind: "create", roomId, title: rest.join(" ") || roomId };
    default:
      return { kind: "unclear", complaint: `there is no ${name}; /help shows what there is` };
  }
}
