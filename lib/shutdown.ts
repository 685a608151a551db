/** The end of a process that was told to go: SIGTERM or SIGINT stops it in order, a second one at once. */
import type { Logger } from "pino";

/**
 * @param stop ends what runs; the process then exits with 0, or with 1 where this rejects
 * @param about what the log says of it, beside the signal
 */
export function stopOnSignal(logger: Logger, about: () => Record<string, unknown>, stop: () => Promise<void>): void {
  let isStopping = false;
  const onSignal = (signal: string) => {
    if (isStopping) {
      process.exit(1);
    }
    isStopping = true;
    logger.info({ signal, ...about() }, "stopping in order; once more stops at once");
    stop().then(
      () => process.exit(0),
      (error) => {
        logger.error({ err: error }, "stopping failed");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}
