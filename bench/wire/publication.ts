/**
 * How a bench makes a server publish: over a socket, 24 digits for each message (when it was due, in µs since 1970, and its
 * number), of which the server makes the message. So no server pays for a way in, and each can be asked for how late it was.
 */

/** 16 digits of time, 8 of number. */
const stampBytes = 24;
const timeDigits = 16;

/** Begins a marked message; stands nowhere else in it, nor in what any server wraps around it. */
const mark = 0x40;

export function publicationStamp(dueUs: number, seq: number): string {
  return String(Math.round(dueUs)).padStart(timeDigits, "0") + String(seq).padStart(stampBytes - timeDigits, "0");
}

/** The message that servers without a format of their own publish: "@", the stamp, and "x" to the length wanted. */
export function markedMessage(stamp: string, messageBytes: number): string {
  return `@${stamp}`.padEnd(messageBytes, "x");
}

/** Calls for each stamp, wherever the bytes are cut. @returns takes the next bytes */
export function stampReader(take: (stamp: string) => void): (data: Buffer) => void {
  let unread = "";
  return (data) => {
    unread += data.toString("latin1");
    let at = 0;
    for (; unread.length - at >= stampBytes; at += stampBytes) {
      take(unread.slice(at, at + stampBytes));
    }
    unread = unread.slice(at);
  };
}

/** Calls for each marked message in these bytes: a server may put several into one frame. */
export function scanMarked(
  bytes: Buffer,
  start: number,
  end: number,
  take: (dueUs: number, seq: number) => void,
): void {
  for (let at = bytes.indexOf(mark, start); at !== -1 && at + stampBytes < end; at = bytes.indexOf(mark, at + 1)) {
    take(digits(bytes, at + 1, timeDigits), digits(bytes, at + 1 + timeDigits, stampBytes - timeDigits));
  }
}

function digits(bytes: Buffer, at: number, count: number): number {
  let value = 0;
  for (let index = at; index < at + count; index++) {
    value = value * 10 + (bytes[index] as number) - 0x30;
  }
  return value;
}
