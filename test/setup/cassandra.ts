/**
 * Fetches the Cassandra that tests run: a real server, as the jars that Maven Central has, once per version. A first
 * fetch takes about half a minute. `test/harness/cassandra.ts` starts nodes from it.
 */
import { mustRunCommand, runCommand } from "../harness/command.ts";
import { provide } from "./cache.ts";
import { cassandraJarsDir, cassandraPomPath, cassandraVersion } from "./tools.ts";

/** 70 MB in a hundred files, and Maven's own plugins. */
const fetchTimeoutMs = 10 * 60_000;

/** The Java that Cassandra 5.0 is made for; it also starts on what came later. */
const javaVersionMin = 17;

const howToInstall =
  "Debian: apt-get install openjdk-17-jre-headless maven; elsewhere https://adoptium.net and https://maven.apache.org/install.html";

/** @returns what was done, for people @throws {Error} saying how to install Java or Maven where one is missing */
export async function provideCassandra(): Promise<string> {
  await requireJava();
  const fetched = await provide(cassandraJarsDir(), async (dir) => {
    const maven = Bun.which("mvn");
    if (!maven) {
      throw new Error(`Maven is missing, and the jars of Cassandra were not fetched yet. ${howToInstall}`);
    }
    await mustRunCommand(
      [
        ...[maven, "--batch-mode", "--quiet", "--file", cassandraPomPath, "dependency:copy-dependencies"],
        ...[`-DoutputDirectory=${dir}`, "-DincludeScope=runtime"],
      ],
      { timeoutMs: fetchTimeoutMs },
    );
  });
  return `Cassandra ${cassandraVersion()} ${fetched ? "fetched" : "is there"}`;
}

/** @throws {Error} if there is no Java that is new enough */
async function requireJava(): Promise<void> {
  const java = Bun.which("java");
  if (!java) {
    throw new Error(`Java is missing: Cassandra needs Java ${javaVersionMin}. ${howToInstall}`);
  }
  const { stdout, stderr } = await runCommand([java, "-version"]);
  const version = Number(/version "(\d+)/.exec(stdout + stderr)?.[1] ?? 0);
  if (version < javaVersionMin) {
    throw new Error(
      `Java ${version || "of an unknown version"} is too old: Cassandra needs ${javaVersionMin}. ${howToInstall}`,
    );
  }
}
