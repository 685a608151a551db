/** One of several gateway processes on one port (`processes.ts`): tells its parent when it serves, and drains when told. */
import pino from "pino";
import { stopOnSignal } from "../lib/shutdown.ts";
import { type Gateway, startServer } from "./server.ts";
import { gatewaySettings } from "./settings.ts";

const settings = gatewaySettings.readOrExit(process.argv.slice(2), process.env);
const logger = pino({ level: settings.logLevel }, pino.destination(2));

// The parent is gone: nobody would stop this process any more.
let whenAlone = (): void => process.exit(1);
process.on("disconnect", () => whenAlone());

let gateway: Gateway;
try {
  gateway = await startServer(settings, logger);
} catch (error) {
  process.stderr.write(`a process cannot start: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
stopOnSignal(
  logger,
  () => ({ drainTimeoutMs: settings.drainTimeoutMs }),
  () => gateway.drain(),
);
whenAlone = () => void process.kill(process.pid, "SIGTERM");
process.send?.(gateway.url);
