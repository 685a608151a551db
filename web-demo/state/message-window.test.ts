import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { MessageSchema } from "../../gen/chat/v1/message_pb.ts";
import { type Item, MessageWindow, messageItem } from "./message-window.ts";

/** Messages from..to of one room, both included. */
function messages(from: number, to: number): Item[] {
  return Array.from({ length: to - from + 1 }, (_, index) =>
    messageItem(create(MessageSchema, { position: `1-${from + index}`, text: "…" })),
  );
}

/** First and last number shown; throws where a number between them is missing or doubled. */
function shown(window: MessageWindow): [number, number] {
  const numbers = window.items.value.map((item) => Number(item.key.split("-")[1]));
  numbers.forEach((number, index) => {
    expect(number).toBe((numbers[0] as number) + index);
  });
  return [numbers[0] as number, numbers.at(-1) as number];
}

test("a reader who follows sees the newest messages, and no more than the window holds", () => {
  const window = new MessageWindow(10);
  window.append(messages(0, 6));
  expect(shown(window)).toEqual([0, 6]);
  window.append(messages(7, 24));
  expect(shown(window)).toEqual([15, 24]);
});

test("the window stands still for a reader who scrolled up, and counts what comes", () => {
  const window = new MessageWindow(10);
  window.append(messages(0, 9));
  window.detach();
  window.append(messages(10, 14));
  expect(shown(window)).toEqual([0, 9]);
  expect(window.unread.value).toBe(5);
  window.follow();
  expect(shown(window)).toEqual([5, 14]);
  expect(window.unread.value).toBe(0);
});

test("older pages push newer messages out, and the way down joins the newest again without a hole or a double", () => {
  const window = new MessageWindow(10);
  window.append(messages(90, 99));
  window.detach();
  window.prepend(messages(86, 89));
  window.prepend(messages(82, 85));
  expect(shown(window)).toEqual([82, 91]);
  window.append(messages(100, 103));
  // 91 is not among the newest any more: a page of history is needed first.
  expect(window.extendFromNewest()).toBe(false);
  window.extend(messages(92, 95));
  expect(window.extendFromNewest()).toBe(true);
  expect(shown(window)).toEqual([94, 103]);
  expect(window.endsAtNewest).toBe(true);
});

test("an empty page of history says that the room begins here, until the window has moved on", () => {
  const window = new MessageWindow(10);
  window.append(messages(0, 4));
  window.prepend([]);
  expect(window.atBeginning.value).toBe(true);
  window.append(messages(5, 20));
  expect(window.atBeginning.value).toBe(false);
});

test("the messages of a gap that are read later stand in its place", () => {
  const window = new MessageWindow(10);
  const [before, after] = [messages(0, 1), messages(5, 6)];
  const gap = { kind: "gap", key: "gap:1", gap: {} } as unknown as Item;
  window.append([...before, gap, ...after]);
  window.replace("gap:1", messages(2, 4));
  expect(shown(window)).toEqual([0, 6]);
});
