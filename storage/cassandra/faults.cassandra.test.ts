/** A Cassandra with TLS and passwords that is killed, frozen and away: what the stores promise then. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CassandraNode, cassandraStartTimeoutMs, startCassandra } from "../../test/harness/cassandra.ts";
import { waitFor } from "../../test/harness/wait-for.ts";
import { HistoryUnavailableError } from "../history/history-store.ts";
import type { LogEntry } from "../log/room-log.ts";
import { type CassandraStorage, type CassandraStorageOptions, openCassandra } from "./open-cassandra.ts";

const directory = mkdtempSync(join(tmpdir(), "streaming-chat-tls-"));
let node: CassandraNode;
/** With the right password and authority. */
let options: CassandraStorageOptions;
let storage: CassandraStorage;
/** What the storage was told of its node. */
const seen: string[] = [];

beforeAll(async () => {
  const { ca, keystorePath } = makeCertificate();
  node = await startCassandra({ passwords: true, tls: { keystorePath, keystorePassword } });
  const credentials = { username: "cassandra", password: "cassandra" };
  options = { ...node.freshKeyspace(), credentials, tls: { ca } };
  const observer = {
    hostDown: (address: string) => seen.push(`${address} down`),
    hostUp: (address: string) => seen.push(`${address} up`),
  };
  storage = openCassandra({ ...options, observer });
  await storage.ready();
}, cassandraStartTimeoutMs);

afterAll(async () => {
  await storage?.close();
  await node?.remove();
  rmSync(directory, { recursive: true, force: true });
});

const keystorePassword = "changeit";

/** A certificate for the loopback that only those trust who know it. */
function makeCertificate(): { ca: string; keystorePath: string } {
  const [key, cert, keystore] = ["key.pem", "cert.pem", "keystore.p12"].map((name) => join(directory, name));
  const openssl = (...args: (string | undefined)[]) => execFileSync("openssl", args.map(String), { stdio: "pipe" });
  openssl(
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
    ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert],
  );
  openssl("pkcs12", "-export", "-in", cert, "-inkey", key, "-passout", `pass:${keystorePassword}`, "-out", keystore);
  return { ca: readFileSync(String(cert), "utf8"), keystorePath: String(keystore) };
}

/** Several times what a restart takes on a busy machine. */
const timeoutMs = 180_000;

function entriesOf(roomId: string, firstSeq: number, count: number): LogEntry[] {
  return Array.from({ length: count }, (_, n) => ({
    roomId,
    position: { epoch: 1_700_000_000_000, seq: firstSeq + n },
    acceptedMs: 1_700_000_000_000 + firstSeq + n,
    event: new TextEncoder().encode(`${roomId} ${firstSeq + n}`),
  }));
}

/** Every entry of a room, as "seq text". */
async function readAll(roomId: string): Promise<string[]> {
  const all: string[] = [];
  let after: LogEntry["position"] | undefined;
  for (;;) {
    const page = await storage.history.page(roomId, { after, entriesMax: 1_000, from: "oldest" });
    all.push(...page.map(({ position, event }) => `${position.seq} ${new TextDecoder().decode(event)}`));
    after = page.at(-1)?.position;
    if (!after) {
      return all;
    }
  }
}

/** The first failure to connect. */
function firstFailure(wrong: Partial<CassandraStorageOptions>): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const opened = openCassandra({ ...options, ...wrong, observer: { connectFailed: resolve } });
  return promise.finally(() => opened.close());
}

const innerMessages = (error: unknown) =>
  Object.values((error as { innerErrors: Record<string, Error> }).innerErrors).map(({ message }) => message);

test("a node whose certificate is not trusted, or that does not take the password, is not connected to", async () => {
  expect(innerMessages(await firstFailure({ tls: {} }))).toEqual([expect.stringMatching(/self.signed/i)]);
  const credentials = { username: "cassandra", password: "wrong" };
  expect(innerMessages(await firstFailure({ credentials }))).toEqual([expect.stringMatching(/password/)]);
  // Without, although the port takes cleartext: the node asks for a password.
  expect(innerMessages(await firstFailure({ credentials: undefined, tls: undefined }))).toHaveLength(1);
});

test(
  "killed under writes, it has lost nothing that it acknowledged, and the store comes back by itself",
  async () => {
    const acknowledged: LogEntry[] = [];
    const refusals: unknown[] = [];
    let nextSeq = 0;
    let stopping = false;
    // As workers do: the same entries again until they are taken.
    const writer = async () => {
      while (!stopping) {
        const entries = entriesOf("killed", nextSeq, 20);
        nextSeq += entries.length;
        for (let taken = false; !taken; ) {
          try {
            await storage.history.write(entries);
            acknowledged.push(...entries);
            taken = true;
          } catch (error) {
            refusals.push(error);
            await Bun.sleep(20);
          }
        }
      }
    };
    const writers = Promise.all([writer(), writer(), writer(), writer()]);
    await waitFor("a thousand writes are acknowledged", () => acknowledged.length >= 1_000, timeoutMs);
    await node.kill();
    await waitFor("writes are refused", () => refusals.length > 0);
    const late = openCassandra(options);
    const tooEarly = await late.history.page("killed", { entriesMax: 1, from: "newest" }).catch((error) => error);
    expect(tooEarly).toBeInstanceOf(HistoryUnavailableError);
    const before = acknowledged.length;
    await node.start();
    await waitFor("writes are acknowledged again", () => acknowledged.length >= before + 1_000, timeoutMs);
    stopping = true;
    await writers;
    expect(seen[0]).toBe(`${node.contactPoint} down`);
    await waitFor("the node counts as up", () => seen.at(-1) === `${node.contactPoint} up`);
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ name: "HistoryUnavailableError", retryAfterMs: expect.any(Number) });
    }
    // Each once, and nothing else: every write was repeated until it was taken.
    const expected = entriesOf("killed", 0, nextSeq).map(({ position }) => `${position.seq} killed ${position.seq}`);
    expect(await readAll("killed")).toEqual(expected);
    expect(acknowledged).toHaveLength(nextSeq);
    // One that began while the node was away is there too.
    await late.ready();
    expect(await late.history.page("killed", { entriesMax: 1, from: "newest" })).toHaveLength(1);
    await late.close();
  },
  timeoutMs,
);

test(
  "frozen, it is given up in bounded time, and used again once it moves",
  async () => {
    const impatient = openCassandra({ ...options, requestTimeoutMs: 300 });
    await impatient.ready();
    const { history, rooms } = impatient;
    await history.write(entriesOf("frozen", 0, 10));
    node.freeze();
    try {
      const calls = [
        () => history.write(entriesOf("frozen", 10, 100)),
        () => history.page("frozen", { entriesMax: 1, from: "newest" }),
        () => rooms.get("frozen"),
        () => rooms.create({ roomId: "frozen", title: "", description: "" }),
      ];
      for (const call of calls) {
        const refused = await call().catch((error) => error);
        expect(refused.name).toMatch(/^(History|RoomDirectory)UnavailableError$/);
        expect(refused).toMatchObject({ retryable: true });
      }
    } finally {
      node.thaw();
    }
    const write = () =>
      history.write(entriesOf("frozen", 10, 100)).then(
        () => true,
        () => false,
      );
    await waitFor("writes are taken again", write, 30_000);
    expect(await history.page("frozen", { entriesMax: 1_000, from: "oldest" })).toHaveLength(110);
    await impatient.close();
  },
  timeoutMs,
);
