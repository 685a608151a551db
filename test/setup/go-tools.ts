/** Builds the Go programs that tests drive, once per version. A cold build of one takes about two minutes. */
import { join } from "node:path";
import { mustRunCommand } from "../harness/command.ts";
import { provide } from "./cache.ts";
import { conformanceDir, connectconformance, type GoTool, goToolDir } from "./tools.ts";

/** Two programs of 45 MB from source on a small, cold machine. */
const buildTimeoutMs = 12 * 60_000;

/** @returns what was done, for people */
export async function provideGoTool(tool: GoTool): Promise<string> {
  const built = await provide(goToolDir(tool), async (dir) => {
    await mustRunCommand([goPath(), "install", `${tool.package}@${tool.version}`], {
      env: { GOBIN: dir },
      timeoutMs: buildTimeoutMs,
    });
  });
  return `${tool.name} ${tool.version} ${built ? "built" : "is there"}`;
}

/**
 * Makes the descriptors of the conformance suite's protos from its Go module: the suite's code is not part of this
 * repository.
 * @param buf the command line of buf
 * @returns what was done, for people
 */
export async function provideConformanceDescriptors(buf: readonly string[]): Promise<string> {
  const built = await provide(conformanceDir(), async (dir) => {
    const module = `connectrpc.com/conformance@${connectconformance.version}`;
    // Outside any Go module, as this repository is none.
    const answer = await mustRunCommand([goPath(), "mod", "download", "-json", module], {
      cwd: dir,
      timeoutMs: 120_000,
    });
    const source: { Dir: string } = JSON.parse(answer);
    const config = JSON.stringify({ version: "v2" });
    await mustRunCommand([
      ...buf,
      "build",
      join(source.Dir, "proto"),
      "--config",
      config,
      "-o",
      join(dir, "suite.binpb"),
    ]);
  });
  return `the conformance suite's descriptors ${built ? "made" : "are there"}`;
}

/** @throws {Error} where there is no Go */
export function goPath(): string {
  const path = Bun.which("go");
  if (!path) {
    throw new Error("Go is missing: install Go 1.24 or later (https://go.dev/doc/install) and put `go` on the PATH");
  }
  return path;
}
