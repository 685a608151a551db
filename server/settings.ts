/** Everything that can be set of the gateway. */
import { flag, list, oneOf, optionalText, type SettingsOf, SettingsTable, text, wholeNumber } from "../lib/settings.ts";
import { checkStorageSettings, isDistributed, storageSettings } from "../storage/settings.ts";

const table = {
  host: { ...text(), default: "127.0.0.1", about: "Address to listen on. 0.0.0.0 or :: for every network." },
  port: {
    ...wholeNumber(0, 65_535),
    default: "8080",
    about: "Port for everything: rpcs, REST, the demo. 0: any free one.",
  },
  processes: {
    ...wholeNumber(0, 256),
    default: "1",
    about: "Gateway processes that share the port; 0: as many as cores. Several need Redis.",
  },
  initialRooms: { ...list(), default: "lobby", about: "Rooms that are there from the start." },
  tlsCertFile: { ...optionalText(), default: "", about: "PEM file of the certificate chain. Empty: cleartext." },
  tlsKeyFile: { ...optionalText(), default: "", about: "PEM file of the certificate's key." },
  corsOrigins: { ...list(), default: "*", about: "Origins whose pages may call. *: all." },
  demo: { ...flag(), default: "true", about: "Serve the demo page at /." },
  reflection: { ...flag(), default: "true", about: "Let grpcurl and others ask for the API's description." },
  requestBytesMax: { ...wholeNumber(1_024, 16_777_216), default: "65536", about: "Bytes of one request message." },
  connectionsMax: { ...wholeNumber(1, 1_000_000), default: "50000", about: "Open connections; one more is closed." },
  streamsMax: { ...wholeNumber(1, 1_000_000), default: "50000", about: "Open streams; one more is refused." },
  streamsPerConnectionMax: {
    ...wholeNumber(1, 10_000),
    default: "256",
    about: "Concurrent streams of one HTTP/2 connection, as announced to the client.",
  },
  sendQueueBytesMax: {
    ...wholeNumber(4_096, 67_108_864),
    default: "262144",
    about: "Bytes that wait for one slow reader; beyond it messages are left out and a Gap says which.",
  },
  slowReaderTimeoutMs: {
    ...wholeNumber(1_000, 600_000),
    default: "30000",
    about: "How long a reader may be behind, its connection full, before its stream ends.",
  },
  recentEntriesMax: {
    ...wholeNumber(1, 100_000),
    default: "512",
    about: "Newest messages of a room in memory, for those who join or come back.",
  },
  heartbeatIntervalMs: { ...wholeNumber(100, 600_000), default: "15000", about: "Between two heartbeats of a stream." },
  streamAgeMaxMs: {
    ...wholeNumber(1_000, 604_800_000),
    default: "3600000",
    about: "How long a stream may last, give or take a tenth; its reader then resumes, maybe elsewhere.",
  },
  roomIdleMs: {
    ...wholeNumber(0, 3_600_000),
    default: "30000",
    about: "How long a room is followed without a reader.",
  },
  roomLingerMsMax: {
    ...wholeNumber(0, 1_000),
    default: "20",
    about:
      "How long a message may wait for others in a room so busy that delivering one by one would take over a twentieth of a core. 0: never.",
  },
  openingTimeoutMs: {
    ...wholeNumber(100, 600_000),
    default: "5000",
    about: "From a connection to its first request head; then it is closed.",
  },
  requestBodyTimeoutMs: {
    ...wholeNumber(100, 600_000),
    default: "10000",
    about: "From a request's head to the end of its body.",
  },
  idleTimeoutMs: { ...wholeNumber(1_000, 3_600_000), default: "75000", about: "How long a connection may do nothing." },
  drainTimeoutMs: {
    ...wholeNumber(0, 600_000),
    default: "10000",
    about: "How long readers have to go elsewhere after SIGTERM.",
  },
  embeddedWorker: {
    ...flag(),
    default: "false",
    about: "With Redis: do the work of a worker in this process, too. With embedded storage it always does.",
  },
  ...storageSettings,
  logLevel: {
    ...oneOf("trace", "debug", "info", "warn", "error", "fatal", "silent"),
    default: "info",
    about: "The least that is logged.",
  },
} as const;

export type Settings = SettingsOf<typeof table>;

export const gatewaySettings = new SettingsTable("streaming-chat: a live-chat gateway", table, (settings) => {
  const problems = checkStorageSettings(settings);
  if ((settings.tlsCertFile === undefined) !== (settings.tlsKeyFile === undefined)) {
    problems.push("--tls-cert-file and --tls-key-file: both or none");
  }
  if (settings.processes !== 1 && !isDistributed(settings)) {
    problems.push(
      `--processes ${settings.processes}: more than one need --redis-url or --redis-cluster-nodes; a data directory is open in one process`,
    );
  }
  return problems;
});
