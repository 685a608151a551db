/**
 * The gateway: the only place that joins its parts.
 *
 *     listener ─► CORS ─► rpcs ─► services ─► catalog, log, hub
 *                      └► Hono: REST, health, metrics, demo
 *
 * With embedded storage, or where the settings say so, the workers live in this process too.
 */
import { readFile } from "node:fs/promises";
import { createRouterTransport } from "@connectrpc/connect";
import { getRequestListener } from "@hono/node-server";
import type { Logger } from "pino";
import { ChatService } from "../gen/chat/v1/chat_pb.ts";
import { RoomExistsError } from "../storage/rooms/room-directory.ts";
import { isDistributed } from "../storage/settings.ts";
import { openStorage, type Storage } from "../storage/storage.ts";
import { madeUpWorkerName } from "../worker/settings.ts";
import { Workers } from "../worker/workers.ts";
import { httpApp } from "./http/app.ts";
import { Cors } from "./http/cors.ts";
import { bundleDemo } from "./http/demo-files.ts";
import { fetchAdapter } from "./http/fetch-adapter.ts";
import { Metrics } from "./metrics.ts";
import { Readiness } from "./readiness.ts";
import { HotWordFeed } from "./room/hot-word-feed.ts";
import { Hub } from "./room/hub.ts";
import { RoomCatalog } from "./room/room-catalog.ts";
import { RoomHistory } from "./room/room-history.ts";
import { http1Adapter } from "./rpc/http1-adapter.ts";
import { http2Adapter } from "./rpc/http2-adapter.ts";
import { pathOf, rpcHandlers } from "./rpc/rpc-handlers.ts";
import { routerOptions, services } from "./rpc/services.ts";
import { RequestValidation } from "./rpc/validation.ts";
import type { Settings } from "./settings.ts";
import { OnePortListener, type RequestListener } from "./transport/one-port-listener.ts";

export interface Gateway {
  /** http(s)://host:port, as to be called. */
  readonly url: string;
  readonly port: number;
  /** Sends readers elsewhere, answers what is under way, stores what was accepted, and stops. */
  drain(): Promise<void>;
  /** Stops at once; what was accepted stays. */
  close(): Promise<void>;
}

/** How long the ends of streams and the answers under way may take to leave, after readers were sent away. */
const lastAnswersTimeoutMs = 5_000;

/** The one rpc whose request may take as long as the client likes. */
const longUploadPath = `/${ChatService.typeName}/${ChatService.method.chat.name}`;

/**
 * @param opened storage that somebody opened already; the gateway closes it. Undefined: as the settings say
 * @throws where a setting, the storage or the port cannot be used
 */
export async function startServer(settings: Settings, logger: Logger, opened?: Storage): Promise<Gateway> {
  const metrics = new Metrics();
  const storage = opened ?? (await openStorage(settings, logger));
  const hasWorkers = settings.embeddedWorker || !isDistributed(settings);
  const workers = hasWorkers ? new Workers(storage, madeUpWorkerName, logger, metrics) : undefined;
  workers?.start();

  const catalog = new RoomCatalog(storage.rooms, storage.log);
  for (const roomId of settings.initialRooms) {
    await catalog.create({ roomId, title: roomId, description: "" }).catch(unlessExists);
  }
  const hub = new Hub(storage.log, settings, metrics);
  metrics.watch(hub);
  const readiness = new Readiness();
  const parts = {
    catalog,
    log: storage.log,
    history: new RoomHistory(storage.log, storage.history),
    hub,
    validation: new RequestValidation(),
    logger,
    hotWordFeed: new HotWordFeed(storage.hotWords, catalog, logger),
    readiness,
    reflection: settings.reflection,
  };
  const options = routerOptions(parts, settings.requestBytesMax);
  const app = httpApp({
    transport: createRouterTransport(services(parts), { router: options }),
    readiness,
    metrics,
    demo: settings.demo ? await bundleDemo() : undefined,
    requestBytesMax: settings.requestBytesMax,
  });
  const http1Fallback = getRequestListener(app.fetch, { overrideGlobalObjects: false }) as RequestListener;
  const handlers = rpcHandlers(services(parts), options);
  const cors = new Cors(settings.corsOrigins);
  const listener = new OnePortListener({
    host: settings.host,
    port: settings.port,
    reusePort: settings.processes !== 1,
    tls: await tlsFiles(settings),
    limits: { ...settings, headerBytesMax: 16_384 },
    onRequest: cors.onRequest(http1Adapter(handlers, http1Fallback, logger)),
    onStream: cors.onStream(http2Adapter(handlers, fetchAdapter(app.fetch, logger), logger)),
    isLongUpload: (target) => pathOf(target) === longUploadPath,
  });
  const address = await listener.listen();
  readiness.set(true);

  const stop = async () => {
    readiness.set(false);
    parts.hotWordFeed.close();
    hub.close();
    listener.close();
    await workers?.stop();
    await storage.close();
  };
  let stopping: Promise<void> | undefined;
  return {
    url: `${settings.tlsCertFile ? "https" : "http"}://${urlHost(settings.host)}:${address.port}`,
    port: address.port,
    async drain() {
      readiness.set(false);
      listener.drain();
      await hub.drain(settings.drainTimeoutMs);
      await listener.idle(lastAnswersTimeoutMs);
      stopping ??= stop();
      await stopping;
    },
    async close() {
      stopping ??= stop();
      await stopping;
    },
  };
}

function unlessExists(error: unknown): void {
  if (!(error instanceof RoomExistsError)) {
    throw error;
  }
}

async function tlsFiles({ tlsCertFile, tlsKeyFile }: Settings) {
  if (!tlsCertFile || !tlsKeyFile) {
    return undefined;
  }
  const [cert, key] = await Promise.all([readFile(tlsCertFile), readFile(tlsKeyFile)]);
  return { cert, key };
}

/** What a client on this machine writes for the address listened on (RFC 3986, 3.2.2 for the brackets). */
function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") {
    return "localhost";
  }
  return host.includes(":") ? `[${host}]` : host;
}
