/**
 * The servers that are compared: what each is, how it is started, and how its readers are connected. Every one publishes
 * without a log and without a database, to readers of one room, messages of one length.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mustRunCommand } from "../../test/harness/command.ts";
import { waitFor } from "../../test/harness/wait-for.ts";
import { cachePath, provide } from "../../test/setup/cache.ts";
import { goPath, provideGoTool } from "../../test/setup/go-tools.ts";
import { type GoTool, goToolDir } from "../../test/setup/tools.ts";
import { subscribePath, subscribeRequest } from "../fan-out/bench-message.ts";
import { envelopeOf } from "../wire/envelope-reader.ts";
import { markedMessage, publicationStamp } from "../wire/publication.ts";
import { startPublisher, type Target } from "../wire/publisher.ts";
import type { Wire } from "../wire/readers-child.ts";
import { WebSocketSubscriber } from "../wire/websocket-subscriber.ts";

export type PeerName =
  | "floor"
  | "gateway-connect"
  | "gateway-grpc"
  | "gateway-grpc-50"
  | "bun-websocket"
  | "grpc-go"
  | "grpc-go-50"
  | "connect-go"
  | "centrifugo"
  | "ws"
  | "socket-io";

export interface Peer {
  readonly name: PeerName;
  /** Whether it sends the gateway's events. */
  readonly isChat: boolean;
  /** @param messageBytes of a message */
  readonly wire: (messageBytes: number) => Wire;
  /** @throws {Error} where it cannot be built or started here */
  readonly start: (messageBytes: number) => Promise<Target>;
}

const centrifugoTool: GoTool = {
  name: "centrifugo",
  package: "github.com/centrifugal/centrifugo/v6",
  version: "v6.9.1",
};

const goSources = join(import.meta.dir, "go");
const goProcedure = "/bench.v1.Bench/Subscribe";
/** google.protobuf.Empty */
const goRequest = envelopeOf(new Uint8Array()).toString("base64");

const gatewayCall = { path: subscribePath, request: subscribeRequest() };
const goCall = { path: goProcedure, request: goRequest };
const bunProgram = (file: string) => (messageBytes: number) =>
  startPublisher([process.execPath, join(import.meta.dir, file), String(messageBytes)]);

/** As it is by default: its rooms gather where they are hot. */
const startGateway = () => startPublisher([process.execPath, join(import.meta.dir, "../fan-out/gateway.ts")]);

export const peers: readonly Peer[] = [
  {
    name: "floor",
    isChat: false,
    wire: (messageBytes) => ({ kind: "raw", messageBytes }),
    start: bunProgram("../fan-out/floor.ts"),
  },
  {
    name: "gateway-connect",
    isChat: true,
    wire: () => ({ kind: "connect", ...gatewayCall }),
    start: startGateway,
  },
  gatewayOverGrpc("gateway-grpc", 1),
  gatewayOverGrpc("gateway-grpc-50", 50),
  {
    name: "bun-websocket",
    isChat: false,
    wire: () => ({ kind: "websocket", speaks: "nothing else" }),
    start: bunProgram("bun-websocket.ts"),
  },
  goOverGrpc("grpc-go", 1),
  goOverGrpc("grpc-go-50", 50),
  {
    name: "connect-go",
    isChat: false,
    wire: () => ({ kind: "connect", ...goCall }),
    start: async (messageBytes) => startPublisher([await goProgram("connect"), String(messageBytes)]),
  },
  {
    name: "centrifugo",
    isChat: false,
    wire: () => ({ kind: "websocket", speaks: "centrifugo" }),
    start: startCentrifugo,
  },
  nodePeer("ws", "ws-server.ts", "nothing else"),
  nodePeer("socket-io", "socket-io-server.ts", "socket.io"),
];

function gatewayOverGrpc(name: PeerName, streamsPerConnection: number): Peer {
  const wire: Wire = { kind: "grpc", streamsPerConnection, ...gatewayCall };
  return { name, isChat: true, wire: () => wire, start: startGateway };
}

function goOverGrpc(name: PeerName, streamsPerConnection: number): Peer {
  return {
    name,
    isChat: false,
    wire: () => ({ kind: "grpc", streamsPerConnection, ...goCall }),
    start: async (messageBytes) => startPublisher([await goProgram("grpc"), String(messageBytes)]),
  };
}

/** Node runs no TypeScript with our imports: it gets a bundle. */
function nodePeer(name: PeerName, file: string, speaks: "nothing else" | "socket.io"): Peer {
  return {
    name,
    isChat: false,
    wire: () => ({ kind: "websocket", speaks }),
    start: async (messageBytes) => {
      const node = Bun.which("node");
      if (!node) {
        throw new Error("no node on the PATH");
      }
      const folder = mkdtempSync(join(tmpdir(), "streaming-chat-peer-"));
      const bundle = join(folder, "server.mjs");
      const program = join(import.meta.dir, file);
      await mustRunCommand([process.execPath, "build", program, "--target=node", `--outfile=${bundle}`]);
      const target = await startPublisher([node, bundle, String(messageBytes)]);
      const stop = async () => {
        await target.stop();
        rmSync(folder, { recursive: true, force: true });
      };
      return { ...target, stop };
    },
  };
}

/** Builds the Go servers, once for each state of their sources. @returns the path of one */
async function goProgram(name: "grpc" | "connect"): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for (const file of [...new Bun.Glob("**/*").scanSync({ cwd: goSources })].sort()) {
    hasher.update(file).update(await Bun.file(join(goSources, file)).bytes());
  }
  const folder = cachePath("go", `peers-${hasher.digest("hex").slice(0, 16)}`);
  await provide(folder, async (dir) => {
    await mustRunCommand([goPath(), "build", "-o", `${dir}/`, "./grpc", "./connect"], {
      cwd: goSources,
      timeoutMs: 10 * 60_000,
    });
  });
  return join(folder, name);
}

/** Centrifugo with one channel in memory, its readers over WebSocket with JSON; a client of its own publishes. */
async function startCentrifugo(messageBytes: number): Promise<Target> {
  await provideGoTool(centrifugoTool);
  const program = join(goToolDir(centrifugoTool), centrifugoTool.name);
  if (!existsSync(program)) {
    throw new Error("go install made no centrifugo");
  }
  const folder = mkdtempSync(join(tmpdir(), "streaming-chat-peer-"));
  const port = await freePort();
  const config = {
    http_server: { address: "127.0.0.1", port },
    client: { insecure: true, allowed_origins: ["*"], queue_max_size: 256 * 1024 * 1024 },
    channel: { without_namespace: { allow_subscribe_for_client: true, allow_publish_for_client: true } },
    log: { level: "error" },
  };
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify(config));
  const child = Bun.spawn([program, "--config", file], { stdio: ["ignore", "ignore", "inherit"] });
  const stop = async () => {
    child.kill();
    await child.exited;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const url = new URL(`http://127.0.0.1:${port}`);
    await waitFor("centrifugo answers", () => answers(url), 20_000);
    const connected = Promise.withResolvers<void>();
    const dialogue = {
      path: "/connection/websocket",
      greeting: ['{"id":1,"connect":{}}'],
      answer: (text: string) => (text === "{}" ? "{}" : undefined),
    };
    const publisher = new WebSocketSubscriber(url, dialogue, {
      envelope: () => connected.resolve(),
      closed: (why) => connected.reject(new Error(why)),
    });
    await connected.promise;
    let commandId = 1;
    return {
      pid: child.pid,
      readersPort: port,
      publish: async (dueUs, seq) => {
        const data = markedMessage(publicationStamp(dueUs, seq), messageBytes);
        publisher.send(JSON.stringify({ id: ++commandId, publish: { channel: "bench", data } }));
      },
      stop: async () => {
        publisher.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function answers(url: URL): Promise<boolean> {
  try {
    await fetch(url);
    return true;
  } catch {
    return false;
  }
}

/** A port that was free a moment ago: Centrifugo does not say which one it took. */
async function freePort(): Promise<number> {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
  const { port } = server;
  server.stop(true);
  return port;
}
