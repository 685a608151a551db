import { afterAll, beforeAll, expect, test } from "bun:test";
import { waitFor } from "../../test/harness/wait-for.ts";
import { CuttableLine } from "./cuttable-line.ts";

let server: Bun.Server<undefined>;
let streamsOpen = 0;
beforeAll(() => {
  server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: ({ signal }) => {
      streamsOpen += 1;
      signal.addEventListener("abort", () => {
        streamsOpen -= 1;
      });
      const body = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode("hello")) });
      return new Response(body, { headers: { "x-kept": "yes" } });
    },
  });
});
afterAll(() => server.stop(true));

test("a cut breaks open responses off, closes their connection, and refuses new requests until it is mended", async () => {
  const line = new CuttableLine();
  const response = await line.fetch(server.url);
  expect(response.headers.get("x-kept")).toBe("yes");
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("hello");

  const next = reader.read();
  line.cut(1);
  await expect(line.fetch(server.url)).rejects.toThrow("the line is cut");
  await expect(next).rejects.toThrow("the line was cut");
  await waitFor("the server has lost the reader", () => streamsOpen === 0);
  await waitFor("the line is mended", () => !line.isCut.value);
  const again = await line.fetch(server.url);
  await again.body?.cancel();
});
