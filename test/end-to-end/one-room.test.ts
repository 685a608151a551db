/** Everybody in one room of a gateway that keeps everything itself. */
import { expect, test } from "bun:test";
import { startGateway } from "../harness/gateway.ts";
import { makeTools, meetInOneRoom } from "./everybody.ts";

test("everyone in a room sees every message in the same order, whatever they speak", async () => {
  await using tools = await makeTools();
  const gateway = await startGateway();
  try {
    await meetInOneRoom([gateway], "everybody", tools);
  } finally {
    expect(await gateway.stop()).toBe(0);
  }
}, 150_000);
