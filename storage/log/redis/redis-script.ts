/** A Lua script that Redis keeps by its hash: sent as 40 bytes, and in full only to a server that does not know it. */
import { createHash } from "node:crypto";
import { type RedisArgument, type RedisLink, RedisReplyError, type ReplyOf } from "./redis-link.ts";

export class RedisScript {
  readonly #source: string;
  readonly #sha: string;

  constructor(source: string) {
    this.#source = source;
    this.#sha = createHash("sha1").update(source).digest("hex");
  }

  /**
   * Runs it. Where the server has forgotten it nothing was run, so it is sent again in full.
   * @param keys at least one; all of one slot
   * @throws as RedisLink.send
   */
  async run(
    link: RedisLink,
    keys: readonly [string, ...string[]],
    args: readonly RedisArgument[],
    reply: ReplyOf = "text",
  ): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args];
    const generation = link.generationOf(keys[0]);
    try {
      return await link.send(keys[0], ["EVALSHA", this.#sha, ...rest], reply);
    } catch (error) {
      // The arguments may hold what is true of this connection only (append.lua: incarnation); of a cluster's they do not.
      const isElsewhere = !link.isCluster && link.generationOf(keys[0]) !== generation;
      if (!(error instanceof RedisReplyError && error.code === "NOSCRIPT") || isElsewhere) {
        throw error;
      }
      return await link.send(keys[0], ["EVAL", this.#source, ...rest], reply);
    }
  }
}
