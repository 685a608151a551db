/**
 * The programs that tests drive and the set-up installs: their versions and where they are. Tests ask here for a path;
 * `bun run test` installs what is missing before any test asks.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cachePath } from "./cache.ts";

/** A program built with `go install`. */
export interface GoTool {
  readonly name: string;
  /** The package to install. */
  readonly package: string;
  /** The version of its module. */
  readonly version: string;
}

export const grpcurl: GoTool = {
  name: "grpcurl",
  package: "github.com/fullstorydev/grpcurl/cmd/grpcurl",
  version: "v1.9.4",
};

/** The runner of the Connect conformance suite. */
export const connectconformance: GoTool = {
  name: "connectconformance",
  package: "connectrpc.com/conformance/cmd/connectconformance",
  version: "v1.0.7",
};

/** The conformance suite of HTTP/2 and HPACK. */
export const h2spec: GoTool = {
  name: "h2spec",
  package: "github.com/summerwind/h2spec/cmd/h2spec",
  version: "v2.2.1+incompatible",
};

/** The folder of the cache that holds a Go program. */
export function goToolDir(tool: GoTool): string {
  return cachePath("go", `${tool.name}-${tool.version}`);
}

/** @throws {Error} if the set-up has not installed it */
export function goToolPath(tool: GoTool): string {
  return installed(join(goToolDir(tool), tool.name), tool.name);
}

/** What the Python client needs, as pip reads it. */
export const pythonRequirementsPath = join(import.meta.dir, "python-requirements.txt");

/** The folder of the cache that holds the Python environment. */
export function pythonDir(): string {
  const digest = new Bun.CryptoHasher("sha256").update(readFileSync(pythonRequirementsPath)).digest("hex").slice(0, 16);
  return cachePath("python", digest);
}

/** @throws {Error} if the set-up has not installed it */
export function pythonPath(): string {
  return installed(join(pythonDir(), "bin", "python"), "the Python environment");
}

/** The folder of the cache that holds the descriptors of the conformance suite's protos. */
export function conformanceDir(): string {
  return cachePath("conformance", connectconformance.version);
}

/** A FileDescriptorSet of the conformance suite's protos. @throws {Error} if the set-up has not made it */
export function conformanceDescriptorsPath(): string {
  return installed(join(conformanceDir(), "suite.binpb"), "the conformance suite's descriptors");
}

/** Names the version of Cassandra that tests run, for Maven. */
export const cassandraPomPath = join(import.meta.dir, "cassandra-pom.xml");

/** As in the pom. */
export function cassandraVersion(): string {
  const version = /<artifactId>cassandra-all<\/artifactId>\s*<version>(.+?)</.exec(
    readFileSync(cassandraPomPath, "utf8"),
  );
  return version?.[1] ?? "of no version";
}

/** The folder of the cache that holds the jars of Cassandra. */
export function cassandraJarsDir(): string {
  return cachePath("cassandra", cassandraVersion());
}

/** @throws {Error} if the set-up has not fetched them */
export function cassandraJarsPath(): string {
  return installed(cassandraJarsDir(), "Cassandra");
}

/** @throws {Error} if there is no Java on this machine */
export function javaPath(): string {
  const path = Bun.which("java");
  if (!path) {
    throw new Error("no java on the PATH, which Cassandra needs; `bun run test -- setup` installs it or says how");
  }
  return path;
}

/** @throws {Error} if there is no Chromium (or Chrome) on this machine */
export function chromiumPath(): string {
  for (const name of ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]) {
    const path = Bun.which(name);
    if (path) {
      return path;
    }
  }
  throw new Error("no chromium on the PATH; `bun run test -- setup` installs it or says how");
}

function installed(path: string, name: string): string {
  if (!existsSync(path)) {
    throw new Error(`${name} is not installed (${path} is missing); \`bun run test -- setup\` installs it`);
  }
  return path;
}
