/** The processes of a run: started, told, listened to, and ended by their ids. */
import { join } from "node:path";

export class ChildProcess<Command extends object, Answer extends { did: string }> {
  readonly #process: Bun.Subprocess<"ignore", "inherit", "inherit">;
  #isStopped = false;

  /** @param ended told why, if it ends before `stop` */
  constructor(program: string, onAnswer: (answer: Answer) => void, ended: (why: string) => void) {
    this.#process = Bun.spawn([process.execPath, join(import.meta.dir, program)], {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (answer: Answer) => onAnswer(answer),
      onExit: (_, code, signal) => {
        if (!this.#isStopped) {
          ended(`${program} ended with ${signal ?? code}`);
        }
      },
    });
  }

  tell(command: Command): void {
    this.#process.send(command);
  }

  stop(): void {
    this.#isStopped = true;
    this.#process.kill();
  }
}
