/** The gateway's process, or the parent of several: settings, start, what to try first, signals. */
import pino from "pino";
import { stopOnSignal } from "../lib/shutdown.ts";
import { freePort, Processes, processCount, startGatewayProcess } from "./processes.ts";
import { startServer } from "./server.ts";
import { gatewaySettings } from "./settings.ts";

/** Lines to paste. The first is what a script may wait for: it is printed when the port answers. */
function greeting(url: string): string {
  // Started through npx there need be no bun to type.
  const isNpx = process.env.npm_config_user_agent?.startsWith("npm/") ?? false;
  const [run, exec] = isNpx ? [`npx bun@${Bun.version} run`, "npx"] : ["bun run", "bunx"];
  const [scheme, address] = url.split("://");
  const tls = scheme === "https" ? "-insecure" : "-plaintext";
  const bufTls = scheme === "https" ? "--insecure" : "--http2-prior-knowledge";
  const subscribe = `'{"roomId":"lobby","tail":20}'`;
  // What the terminal client calls by itself.
  const urlOption = url === "http://127.0.0.1:8080" ? "" : ` --url ${url}`;
  return `streaming-chat listens on ${url}

  browser   open ${url}
  terminal  ${run} chat --room lobby --name 민수${urlOption}
  grpcurl   grpcurl ${tls} -d ${subscribe} ${address} chat.v1.ChatService/Subscribe
  buf curl  ${exec} buf curl --protocol grpc ${bufTls} -d ${subscribe} ${url}/chat.v1.ChatService/Subscribe

`;
}

const settings = gatewaySettings.readOrExit(process.argv.slice(2), process.env);
const logger = pino({ level: settings.logLevel }, pino.destination(2));

/** What this process runs: itself a gateway, or the parent of several. */
interface Running {
  readonly url: string;
  drain(): Promise<void>;
}

async function start(): Promise<Running> {
  if (settings.processes === 1) {
    return startServer(settings, logger);
  }
  const port = await freePort(settings.host, settings.port);
  const processes = new Processes({
    count: processCount(settings.processes),
    drainTimeoutMs: settings.drainTimeoutMs,
    logger,
    start: () => startGatewayProcess(process.argv.slice(2), port),
  });
  process.on("exit", () => processes.kill());
  const url = await processes.start();
  void processes.gaveUp.then(() => process.exit(1));
  return { url, drain: () => processes.stop() };
}

let running: Running;
try {
  running = await start();
} catch (error) {
  process.stderr.write(`streaming-chat cannot start: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
process.stdout.write(greeting(running.url));

const { drainTimeoutMs } = settings;
stopOnSignal(
  logger,
  () => ({ drainTimeoutMs }),
  () => running.drain(),
);
