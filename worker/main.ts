/** The worker's process: settings, start, signals. Run as many as there is work for; they share it. */
import pino from "pino";
import { stopOnSignal } from "../lib/shutdown.ts";
import { openStorage } from "../storage/storage.ts";
import { workerSettings } from "./settings.ts";
import { Workers } from "./workers.ts";

const settings = workerSettings.readOrExit(process.argv.slice(2), process.env);
const logger = pino({ level: settings.logLevel }, pino.destination(2));

try {
  const storage = await openStorage(settings, logger);
  let written = 0;
  const workers = new Workers(storage, settings.workerName, logger, {
    written: (entries) => {
      written += entries;
    },
    deadLettered: () => {},
  });
  workers.start();
  process.stdout.write(`streaming-chat worker ${settings.workerName} is at work\n`);

  stopOnSignal(
    logger,
    () => ({ written }),
    async () => {
      await workers.stop();
      await storage.close();
    },
  );
} catch (error) {
  process.stderr.write(`the worker cannot start: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
