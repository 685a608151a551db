/** Which failures of a request are tried again at once, which are passed on, and as what. */
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { Client, errors, types } from "cassandra-driver";
import { cassandraStartTimeoutMs, sharedCassandra } from "../../test/harness/cassandra.ts";
import { CassandraConnection } from "./connection.ts";

let connection: CassandraConnection;

beforeAll(async () => {
  connection = new CassandraConnection((await sharedCassandra()).freshKeyspace());
  await connection.ready();
}, cassandraStartTimeoutMs);

afterAll(() => connection?.close());

const { responseErrorCodes: codes } = types;
const answer = (code: number) => new errors.ResponseError(code, `code ${code}`);
const noHost = (inner: Error | undefined) => new errors.NoHostAvailableError(inner && { "127.0.0.1:9042": inner });
const read = { query: "SELECT room_id FROM rooms WHERE room_id = ?", params: ["a"] };

/** Lets the driver fail some times before it does what it is asked. @returns how the request ended, and how often it was made */
async function failing(times: number, error: Error, request: () => Promise<unknown>) {
  const execute = spyOn(Client.prototype, "execute");
  for (let n = 0; n < times; n += 1) {
    execute.mockRejectedValueOnce(error as never);
  }
  try {
    const ended = await request().then(
      () => "answered",
      (error) => error,
    );
    return { ended, made: execute.mock.calls.length };
  } finally {
    execute.mockRestore();
  }
}

describe("a request", () => {
  test("that fails in passing is made again, three times at most", async () => {
    for (const passing of [
      answer(codes.writeTimeout),
      answer(codes.readTimeout),
      answer(codes.overloaded),
      noHost(answer(codes.writeTimeout)),
    ]) {
      for (const request of [() => connection.execute(read), () => connection.executeConditional(read)]) {
        expect(await failing(2, passing, request)).toEqual({ ended: "answered", made: 3 });
        const { ended, made } = await failing(9, passing, request);
        expect(made).toBe(3);
        expect(ended).toMatchObject({ name: "CassandraUnavailableError", cause: passing });
      }
    }
  });

  test("that finds no node, or too few, is passed on at once, with a time to come again", async () => {
    for (const away of [
      noHost(undefined),
      noHost(new errors.OperationTimedOutError("no answer")),
      new errors.OperationTimedOutError("no answer"),
      new errors.BusyConnectionError("127.0.0.1", 1, 1),
      answer(codes.unavailableException),
      answer(codes.serverError),
      answer(codes.writeFailure),
      // Whoever runs the cluster can mend these; no entry is to blame.
      answer(codes.unauthorized),
      answer(codes.badCredentials),
    ]) {
      const { ended, made } = await failing(9, away, () => connection.execute(read));
      expect(made).toBe(1);
      expect(ended).toMatchObject({ name: "CassandraUnavailableError", retryable: true, cause: away });
      expect(ended.retryAfterMs).toBeGreaterThan(0);
    }
  });

  test("that Cassandra refuses for what it says is its caller's fault", async () => {
    for (const statement of [
      { query: "SELECT nonsense", params: [] },
      { query: "SELECT nonsense FROM rooms", params: [] },
      { query: "SELECT * FROM nowhere", params: [] },
      { ...read, params: [new Date()] },
      { ...read, params: [] },
    ]) {
      const refused = await connection.execute(statement).catch((error) => error);
      expect(refused).toBeInstanceOf(Error);
      expect(refused.name).not.toBe("CassandraUnavailableError");
    }
  });
});

test("a keyspace that a node has not heard of yet, because another process is making it, is tried again", async () => {
  const keyspace = (await sharedCassandra()).freshKeyspace();
  const unheard = new errors.ResponseError(codes.invalid, "Keyspace does not exist");
  const pausesMs: (number | undefined)[] = [];
  const connect = spyOn(Client.prototype, "connect").mockRejectedValueOnce(unheard as never);
  try {
    const observer = { connectFailed: (_: unknown, pauseMs: number | undefined) => pausesMs.push(pauseMs) };
    const opened = new CassandraConnection({ ...keyspace, observer });
    await opened.ready();
    expect(pausesMs).toEqual([expect.any(Number)]);
    await opened.close();
  } finally {
    connect.mockRestore();
  }
}, 30_000);
