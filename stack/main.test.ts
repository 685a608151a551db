/** `bun run stack` as a person uses it: two gateways share a room, and Ctrl-C leaves nothing behind. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ChatService } from "../gen/chat/v1/chat_pb.ts";
import { waitFor } from "../test/harness/wait-for.ts";

/** Cassandra takes most of it, on a busy machine. */
const startTimeoutMs = 240_000;

test("what is said at one gateway is read at the other, and Ctrl-C ends every part", async () => {
  const stack = Bun.spawn([process.execPath, join(import.meta.dir, "main.ts"), "--gateway-ports", "0,0"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  let said = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of stack.stdout) {
      said += decoder.decode(chunk, { stream: true });
    }
  })();
  try {
    const isUp = () => stack.exitCode !== null || said.includes("Ctrl-C stops everything");
    await waitFor("the stack is up", isUp, startTimeoutMs);
    const [one, other] = /gateways {3}(\S+) {3}(\S+)\n/.exec(said)?.slice(1) ?? [];
    const chat = (baseUrl: string | undefined) =>
      createClient(ChatService, createGrpcTransport({ baseUrl: baseUrl ?? "http://missing" }));
    const text = "from the one to the other";
    const seen = (async () => {
      for await (const { event } of chat(other).subscribe({ roomId: "lobby", start: { case: "tail", value: 1 } })) {
        if (event?.kind.case === "message") {
          return event.kind.value.text;
        }
      }
      return undefined;
    })();
    await chat(one).sendMessage({ roomId: "lobby", author: { name: "stack" }, text });
    expect(await seen).toBe(text);
  } finally {
    stack.kill("SIGINT");
    await stack.exited;
    await reading;
  }
  expect(stack.exitCode).toBe(0);
  const parts = ["gateway 2", "gateway 1", "worker 2", "worker 1", "Cassandra", "Redis"];
  expect(said.split("\n").filter((line) => line.startsWith("stopping"))).toEqual(
    parts.map((part) => `stopping ${part}`),
  );
  const [one] = /gateways {3}(\S+)/.exec(said)?.slice(1) ?? [];
  const redis = /redis {6}redis:\/\/(\S+)\n/.exec(said)?.[1];
  await Promise.all(
    [one, `http://${redis}`].map((url) => expect(fetch(`${url}`)).rejects.toThrow("Unable to connect")),
  );
}, 300_000);
