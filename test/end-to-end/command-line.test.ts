/**
 * A gateway from the command line, without any code: what it offers (reflection), whether it is well (health), calls by
 * grpcurl and buf curl, JSON and REST by curl.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mustRunCommand, runCommand } from "../harness/command.ts";
import { bufCurl, grpcurl } from "../harness/curls.ts";
import { type Gateway, startGateway } from "../harness/gateway.ts";
import { JsonStream } from "../harness/json-stream.ts";

let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({ INITIAL_ROOMS: "lobby" });
}, 30_000);

afterAll(async () => {
  await gateway?.stop();
}, 30_000);

const serviceNames = [
  "chat.v1.ChatService",
  "chat.v1.HotWordService",
  "chat.v1.RoomService",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];

describe("reflection", () => {
  test("grpcurl lists the services", async () => {
    const listed = await mustRunCommand(grpcurl(gateway, ["list"]));
    expect(listed.trim().split("\n")).toEqual(serviceNames);
  });

  test("grpcurl describes an rpc, a message and its rules", async () => {
    const rpc = await mustRunCommand(grpcurl(gateway, ["describe", "chat.v1.ChatService.Subscribe"]));
    expect(rpc).toContain("rpc Subscribe ( .chat.v1.SubscribeRequest ) returns ( stream .chat.v1.SubscribeResponse );");
    const message = await mustRunCommand(grpcurl(gateway, ["describe", "chat.v1.Author"]));
    expect(message).toContain("string: { min_len: 1, max_len: 40 }");
  });

  test("buf curl asks both versions of the protocol", async () => {
    for (const version of ["grpc-v1", "grpc-v1alpha"]) {
      const options = ["--reflect", "--reflect-protocol", version, "-d", '{"roomId":"lobby"}'];
      const answer = await mustRunCommand(bufCurl(gateway, "grpc", "chat.v1.RoomService/GetRoom", options));
      expect(JSON.parse(answer)).toMatchObject({ room: { roomId: "lobby" } });
    }
  });

  test("an unknown symbol is said to be unknown", async () => {
    const { code, stderr } = await runCommand(grpcurl(gateway, ["describe", "chat.v1.Nothing"]));
    expect(code).not.toBe(0);
    expect(stderr).toContain("Symbol not found: chat.v1.Nothing");
  });
});

describe("health", () => {
  const check = "grpc.health.v1.Health/Check";

  test("the gateway and each of its services are serving", async () => {
    for (const service of ["", "chat.v1.ChatService", "chat.v1.RoomService", "chat.v1.HotWordService"]) {
      const answer = await mustRunCommand(grpcurl(gateway, [check], ["-d", JSON.stringify({ service })]));
      expect(JSON.parse(answer)).toEqual({ status: "SERVING" });
    }
  });

  test("a service that does not exist is not found", async () => {
    const { code, stderr } = await runCommand(grpcurl(gateway, [check], ["-d", '{"service":"nobody"}']));
    expect(code).not.toBe(0);
    expect(stderr).toContain("NotFound");
  });

  test("over HTTP there is one answer for the process and one for its readiness", async () => {
    expect((await curl("/healthz")).status).toBe(200);
    expect((await curl("/readyz")).status).toBe(200);
    expect((await curl("/metrics")).body).toContain("# TYPE ");
  });
});

describe("curl", () => {
  test("calls an rpc with JSON", async () => {
    const said = await curl("/chat.v1.ChatService/SendMessage", {
      json: { roomId: "lobby", author: { name: "curl" }, text: "JSON으로" },
    });
    expect(said).toMatchObject({ status: 200 });
    const { position } = JSON.parse(said.body);
    const listed = await curl("/chat.v1.ChatService/ListMessages", { json: { roomId: "lobby" } });
    expect(JSON.parse(listed.body).messages.at(-1)).toMatchObject({ position, text: "JSON으로" });
  });

  test("calls an rpc without side effects by GET", async () => {
    const query = new URLSearchParams({ encoding: "json", message: '{"roomId":"lobby"}' });
    const answer = await curl(`/chat.v1.RoomService/GetRoom?${query}`);
    expect(JSON.parse(answer.body)).toMatchObject({ room: { roomId: "lobby", status: "ROOM_STATUS_OPEN" } });
  });

  test("goes through the life of a room over REST", async () => {
    const rooms = "/api/v1/rooms";
    const created = await curl(rooms, { json: { roomId: "rest", title: "쉬는 방" } });
    expect(created.status).toBe(201);
    expect(JSON.parse(created.body)).toMatchObject({ roomId: "rest", title: "쉬는 방", version: 1 });
    const changed = await curl(`${rooms}/rest`, { json: { title: "바뀐 방", version: 1 }, method: "PATCH" });
    expect(JSON.parse(changed.body)).toMatchObject({ title: "바뀐 방", version: 2 });
    const said = await curl(`${rooms}/rest/messages`, { json: { author: { name: "curl" }, text: "안녕" } });
    expect(said.status).toBe(201);
    const listed = await curl(`${rooms}/rest/messages?page_size=1`);
    expect(JSON.parse(listed.body).messages).toMatchObject([{ text: "안녕" }]);
    expect((await curl(`${rooms}/rest/close`, { json: {} })).status).toBe(200);
    const refused = await curl(`${rooms}/rest/messages`, { json: { author: { name: "curl" }, text: "late" } });
    expect(refused.status).toBe(400);
    expect(JSON.parse(refused.body)).toMatchObject({ code: "FailedPrecondition", reason: "ROOM_CLOSED" });
    const all = await curl(rooms);
    expect(JSON.parse(all.body).rooms.map((room: { roomId: string }) => room.roomId)).toEqual(["rest", "lobby"]);
  });

  const refusedOverRest = [
    { what: "a field beyond its limits", path: "/rooms/lobby/messages", json: { text: "" }, status: 400 },
    { what: "a body that is no object", path: "/rooms", json: [], status: 400 },
    { what: "an unknown room", path: "/rooms/nowhere", json: undefined, status: 404 },
    { what: "an unknown path", path: "/ponies", json: undefined, status: 404 },
    { what: "a taken id", path: "/rooms", json: { roomId: "lobby", title: "again" }, status: 409 },
    { what: "a body over the limit", path: "/rooms", json: { title: "a".repeat(100_000) }, status: 429 },
    { what: "a page size that is no number", path: "/rooms?page_size=many", json: undefined, status: 400 },
  ];
  test.each(refusedOverRest)("is told over REST what is wrong with $what", async ({ path, json, status }) => {
    const answer = await curl(`/api/v1${path}`, json === undefined ? {} : { json });
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ code: expect.any(String), message: expect.any(String) });
  });
});

describe("grpcurl", () => {
  test("reads the newest messages of a room and stops at its deadline", async () => {
    const text = "tail me";
    const said = { roomId: "lobby", author: { name: "grpcurl" }, text };
    await mustRunCommand(grpcurl(gateway, ["chat.v1.ChatService/SendMessage"], ["-d", JSON.stringify(said)]));
    const options = ["-max-time", "1", "-d", '{"roomId":"lobby","tail":1}'];
    const { stdout, stderr } = await runCommand(grpcurl(gateway, ["chat.v1.ChatService/Subscribe"], options));
    const events: unknown[] = [];
    new JsonStream((event) => events.push(event)).push(new TextEncoder().encode(stdout));
    // Then the count of viewers, in its own time.
    expect(events.slice(0, 3)).toMatchObject([
      { event: { roomState: { room: { roomId: "lobby" } } } },
      { event: { message: { text } } },
      { event: { heartbeat: {} } },
    ]);
    expect(stderr).toContain("DeadlineExceeded");
  });
});

interface CurlOptions {
  /** Sent as the body. */
  json?: unknown;
  /** Default POST with a body, GET without. */
  method?: string;
}

async function curl(path: string, { json, method }: CurlOptions = {}): Promise<{ status: number; body: string }> {
  const body = json === undefined ? [] : ["-H", "content-type: application/json", "--data-binary", "@-"];
  const how = method === undefined ? [] : ["--request", method];
  const output = await mustRunCommand(
    ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", ...body, ...how, `${gateway.url}${path}`],
    json === undefined ? {} : { stdin: JSON.stringify(json) },
  );
  const end = output.lastIndexOf("\n");
  return { status: Number(output.slice(end + 1)), body: output.slice(0, end) };
}
