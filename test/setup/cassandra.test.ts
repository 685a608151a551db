import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../harness/command.ts";

/** Runs the set-up of Cassandra, with an empty cache, on a machine that has nothing but these programs. */
async function setUpWith(programs: Record<string, string>): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "streaming-chat-path-"));
  try {
    for (const [name, text] of Object.entries(programs)) {
      writeFileSync(join(directory, name), text, { mode: 0o755 });
    }
    for (const name of ["sh", "echo"]) {
      symlinkSync(Bun.which(name) ?? `/bin/${name}`, join(directory, name));
    }
    const code = `import { provideCassandra } from ${JSON.stringify(join(import.meta.dir, "cassandra.ts"))};
      await provideCassandra();`;
    const env = { PATH: directory, XDG_CACHE_HOME: join(directory, "cache") };
    const { code: exitCode, stderr } = await runCommand([process.execPath, "-e", code], { env });
    expect(exitCode).toBe(1);
    return stderr;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const java = (version: string) => `#!/bin/sh\necho 'openjdk version "${version}" 2025-04-15' >&2\n`;

test("without Java, with one that is too old, or without Maven, the set-up fails and says what to install", async () => {
  expect(await setUpWith({})).toContain("Java is missing: Cassandra needs Java 17. Debian: apt-get install openjdk-17");
  expect(await setUpWith({ java: java("11.0.2") })).toContain("Java 11 is too old: Cassandra needs 17.");
  expect(await setUpWith({ java: java("17.0.15") })).toMatch(/Maven is missing.*apt-get install .*maven/);
});
