/**
 * Where the test set-up keeps what it installs: outside the repository, one folder per version, so that checkouts share
 * it and an upgrade never meets yesterday's files.
 *
 *     ${XDG_CACHE_HOME:-~/.cache}/streaming-chat/go/grpcurl-v1.9.4/grpcurl
 *                                               /python/<digest of requirements>/bin/python
 *                                               /conformance/v1.0.7/suite.binpb
 *                                               /cassandra/5.0.9/cassandra-all-5.0.9.jar
 */
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

/** The path of an entry of the cache, whether it is there or not. */
export function cachePath(...names: string[]): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "streaming-chat", ...names);
}

/**
 * Makes a folder of the cache, once: `build` fills a temporary folder beside it, which then gets its name in one step.
 * A folder that has its name is complete, whatever was interrupted, and two runs at once cannot mix.
 * @returns whether it had to be built
 */
export async function provide(path: string, build: (dir: string) => Promise<void>): Promise<boolean> {
  if (existsSync(path)) {
    return false;
  }
  const building = `${path}.building-${process.pid}-${Date.now()}`;
  await mkdir(dirname(path), { recursive: true });
  await mkdir(building);
  try {
    await build(building);
    await rename(building, path);
  } catch (error) {
    await rm(building, { recursive: true, force: true });
    if (!existsSync(path)) {
      throw error;
    }
    // Another run was faster: its folder is as good.
  }
  return true;
}
