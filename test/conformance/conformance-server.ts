/**
 * The program that the conformance suite tests: the gateway's port, adapter and interceptors with the suite's service.
 *
 * The runner starts it once per kind of connection, writes what it wants to standard input and reads the address from
 * standard output, both as one message after its length (4 bytes, big endian).
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import pino from "pino";
import { http1Adapter } from "../../server/rpc/http1-adapter.ts";
import { http2Adapter } from "../../server/rpc/http2-adapter.ts";
import { rpcHandlers } from "../../server/rpc/rpc-handlers.ts";
import { routerOptions } from "../../server/rpc/services.ts";
import { RequestValidation } from "../../server/rpc/validation.ts";
import { OnePortListener } from "../../server/transport/one-port-listener.ts";
import { conformanceRoutes } from "./conformance-service.ts";
import { type ServerCompatRequest, suiteMessage, suiteTypes } from "./suite.ts";

const wanted = await readRequest();
// Standard output belongs to the runner.
const log = pino({ level: "warn" }, pino.destination(2));
const parts = { logger: log, validation: new RequestValidation() };
/** Above every message of the cases that do not test the limit. */
const requestBytesMax = wanted.messageReceiveLimit > 0 ? wanted.messageReceiveLimit : 16 * 1024 * 1024;
const handlers = rpcHandlers(conformanceRoutes, {
  ...routerOptions(parts, requestBytesMax),
  jsonOptions: { registry: suiteTypes },
});
const answerStream = http2Adapter(
  handlers,
  (stream) => {
    stream.respond(404, []);
    stream.end();
  },
  log,
);
const listener = new OnePortListener({
  host: "127.0.0.1",
  port: 0,
  limits: {
    connectionsMax: 1_000,
    openingTimeoutMs: 5_000,
    requestBodyTimeoutMs: 10_000,
    idleTimeoutMs: 60_000,
    headerBytesMax: 64 * 1024,
    streamsPerConnectionMax: 100,
  },
  tls: wanted.serverCreds && {
    cert: Buffer.from(wanted.serverCreds.cert),
    key: Buffer.from(wanted.serverCreds.key),
  },
  isLongUpload: () => false,
  onRequest: http1Adapter(
    handlers,
    (_request, response) => {
      response.statusCode = 404;
      response.end();
    },
    log,
  ),
  onStream: (stream) => answerStream(stream, []),
});
const { address, port } = await listener.listen();
writeResponse({ host: address, port, pemCert: wanted.serverCreds?.cert });
process.once("SIGTERM", () => {
  listener.close();
  process.exit();
});

async function readRequest(): Promise<ServerCompatRequest> {
  let input = Buffer.alloc(0);
  for await (const chunk of Bun.stdin.stream()) {
    input = Buffer.concat([input, chunk]);
    if (input.length >= 4 && input.length >= 4 + input.readUInt32BE(0)) {
      const message = input.subarray(4, 4 + input.readUInt32BE(0));
      return fromBinary(suiteMessage("ServerCompatRequest"), message) as unknown as ServerCompatRequest;
    }
  }
  throw new Error("standard input ended before the runner said what it wants");
}

function writeResponse(response: { host: string; port: number; pemCert: Uint8Array | undefined }): void {
  const schema = suiteMessage("ServerCompatResponse");
  const message = toBinary(schema, create(schema, response));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  process.stdout.write(Buffer.concat([length, message]));
}
