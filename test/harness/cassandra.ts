/**
 * A real Cassandra as a process of its own: one node on free ports of the loopback, with its data in a temporary folder,
 * small enough to run beside the tests, stopped by its process id.
 *
 * `sharedCassandra()` is one node for all test files of a process, each with keyspaces of its own: a start costs five to
 * fifteen seconds and close to a gigabyte. A test that stops or kills its node starts one with `startCassandra()`.
 */

import { randomUUID } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cassandraJarsPath, javaPath } from "../setup/tools.ts";
import { waitFor } from "./wait-for.ts";

/** For the hook of a test file that may be the one whose `sharedCassandra()` starts the node. */
export const cassandraStartTimeoutMs = 150_000;
/** Several times what a start takes on a busy machine of two cores. */
const startTimeoutMs = 120_000;
/** After SIGTERM it writes its memory to disk. */
const stopTimeoutMs = 30_000;
/** What of its log an error shows. */
const logCharsMax = 4_000;

export interface CassandraOptions {
  /**
   * When a write is answered. "batch" (default): once it is on disk, so that an answered write survives SIGKILL.
   * "periodic": the server's own default, which loses the last tenth of a second.
   */
  commitlogSync?: "batch" | "periodic";
  /** Default 512. */
  heapMegabytes?: number;
  /** "quick" (default) starts in half the time, "full" is as fast as a server is that has run for a while: for benchmarks. */
  compiler?: "quick" | "full";
  /** The cores it may use, as taskset takes them: "0", "0-3". Default: all. */
  cores?: string;
  /** Serves TLS, beside cleartext on the same port, with this PKCS #12 file. */
  tls?: { keystorePath: string; keystorePassword: string };
  /** Asks for a name and password; at first there is only the user cassandra with the password cassandra. */
  passwords?: boolean;
}

/** Options of `openCassandra`. */
export interface FreshKeyspace {
  contactPoints: string[];
  localDataCenter: string;
  keyspace: string;
  replication: Record<string, number>;
}

/** Starts a node and resolves once it answers. @throws {Error} saying what to install, or with the end of its log */
export async function startCassandra(options: CassandraOptions = {}): Promise<CassandraNode> {
  const node = new CassandraNode(options, await freePorts());
  try {
    await node.start();
  } catch (error) {
    await node.remove();
    throw error;
  }
  return node;
}

/** One node and its data; can be stopped and started again. */
export class CassandraNode {
  readonly #options: CassandraOptions;
  readonly #ports: { cql: number; storage: number };
  readonly #directory = mkdtempSync(join(tmpdir(), "streaming-chat-cassandra-"));
  #running: { java: Bun.Subprocess; guard: Bun.Subprocess<"pipe", "ignore", "ignore"> } | undefined;

  constructor(options: CassandraOptions, ports: { cql: number; storage: number }) {
    this.#options = options;
    this.#ports = ports;
  }

  /** host:port for drivers. */
  get contactPoint(): string {
    return `127.0.0.1:${this.#ports.cql}`;
  }

  /** What opens storage on this node in a keyspace that nobody has used; the keyspace is made on opening. */
  freshKeyspace(): FreshKeyspace {
    return {
      contactPoints: [this.contactPoint],
      localDataCenter: "datacenter1",
      keyspace: `test_${randomUUID().replaceAll("-", "")}`,
      replication: { datacenter1: 1 },
    };
  }

  /** Undefined: it does not run. */
  get pid(): number | undefined {
    return this.#running?.java.pid;
  }

  /** What it logged, the end of it. */
  get log(): string {
    const path = join(this.#directory, "cassandra.log");
    return existsSync(path) ? readFileSync(path, "utf8").slice(-logCharsMax) : "";
  }

  /** Starts it, on the data it had; resolves once its port answers. */
  async start(): Promise<void> {
    if (this.#running) {
      throw new Error(`the node runs already, as process ${this.#running.java.pid}`);
    }
    const argv = this.#prepare();
    const log = openSync(join(this.#directory, "cassandra.log"), "a");
    // In groups of their own: a Ctrl-C in the terminal is for this process, which stops them in its own order.
    const java = Bun.spawn(argv, {
      cwd: this.#directory,
      stdin: "ignore",
      stdout: log,
      stderr: log,
      detached: true,
    });
    closeSync(log);
    // Whatever ends this process, the node does not outlive it: the end of the pipe tells the guard.
    const guard = Bun.spawn(["sh", "-c", guardScript, "guard", String(java.pid), this.#directory], {
      stdin: "pipe",
      stdout: "ignore",
      stderr: "ignore",
      detached: true,
    });
    java.unref();
    guard.unref();
    this.#running = { java, guard };
    try {
      await waitFor(
        "Cassandra answers",
        () => {
          if (java.exitCode !== null || java.signalCode !== null) {
            throw new Error("Cassandra ended while it started");
          }
          // The last thing that a start opens.
          return accepts(this.#ports.cql);
        },
        startTimeoutMs,
      );
    } catch (error) {
      await this.kill();
      throw new Error(`${(error as Error).message}; the end of its log:\n${this.log}`, { cause: error });
    }
  }

  /** Ends it as an operator would; the data stay for the next start. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Ends it at once: nothing that is not on disk yet gets there. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Stops time for it: it holds its connections and answers nothing. */
  freeze(): void {
    this.#running?.java.kill("SIGSTOP");
  }

  thaw(): void {
    this.#running?.java.kill("SIGCONT");
  }

  /** Ends it and removes its data. */
  async remove(): Promise<void> {
    if (this.#running) {
      const { java, guard } = this.#running;
      // The guard does both, also if this process ends meanwhile.
      guard.stdin.end();
      await Promise.all([java.exited, guard.exited]);
      this.#running = undefined;
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (!this.#running) {
      return;
    }
    const { java, guard } = this.#running;
    java.kill(signal);
    const timer = setTimeout(() => java.kill("SIGKILL"), stopTimeoutMs);
    await java.exited;
    clearTimeout(timer);
    guard.stdin.write("done\n");
    guard.stdin.end();
    await guard.exited;
    this.#running = undefined;
  }

  /** Writes the files that a start reads. @returns the command of the start */
  #prepare(): string[] {
    const jars = cassandraJarsPath();
    const agent = readdirSync(jars).find((name) => /^jamm-.*\.jar$/.test(name));
    const directory = this.#directory;
    mkdirSync(join(directory, "conf"), { recursive: true });
    mkdirSync(join(directory, "tmp"), { recursive: true });
    // JSON is YAML too.
    const settingsPath = join(directory, "conf", "cassandra.yaml");
    writeFileSync(settingsPath, JSON.stringify(settings(this.#options, this.#ports), undefined, 2));
    writeFileSync(join(directory, "conf", "logback.xml"), logback);
    const heap = `${this.#options.heapMegabytes ?? 512}m`;
    return [
      ...(this.#options.cores ? ["taskset", "-c", this.#options.cores] : []),
      javaPath(),
      ...javaOptions,
      // The first compiler alone: as fast as it needs to be for tests.
      ...(this.#options.compiler === "full" ? [] : ["-XX:TieredStopAtLevel=1"]),
      ...[`-Xms${heap}`, `-Xmx${heap}`, "-XX:MaxDirectMemorySize=256m"],
      ...[`-Djava.io.tmpdir=${directory}/tmp`, `-Djna.tmpdir=${directory}/tmp`],
      ...[`-Dcassandra.storagedir=${directory}`, `-Dcassandra.logdir=${directory}`],
      ...[`-Dcassandra.config=file://${settingsPath}`, `-Dlogback.configurationFile=${directory}/conf/logback.xml`],
      `-javaagent:${join(jars, agent ?? "jamm.jar")}`,
      ...["-cp", `${directory}/conf:${jars}/*`, "org.apache.cassandra.service.CassandraDaemon"],
    ];
  }
}

/** The node that the test files of this process share; the first to ask starts it, the end of the process ends it. */
export function sharedCassandra(): Promise<CassandraNode> {
  // A global and not a variable of this module: each test file may have an instance of the module.
  const holder = globalThis as { streamingChatSharedCassandra?: Promise<CassandraNode> };
  holder.streamingChatSharedCassandra ??= startCassandra();
  return holder.streamingChatSharedCassandra;
}

/** $1: the node's process, $2: its folder. A line says that the node has ended; the end of the input, that its owner has. */
const guardScript = `trap "" INT TERM HUP
read -r line && exit 0
kill -KILL "$1"
for try in 1 2 3 4 5 6 7 8 9 10; do
  kill -0 "$1" 2>/dev/null || break
  sleep 0.2
done
rm -rf "$2"`;

function settings(options: CassandraOptions, ports: { cql: number; storage: number }): Record<string, unknown> {
  return {
    cluster_name: "streaming-chat-test",
    partitioner: "org.apache.cassandra.dht.Murmur3Partitioner",
    endpoint_snitch: "SimpleSnitch",
    num_tokens: 1,
    seed_provider: [
      {
        class_name: "org.apache.cassandra.locator.SimpleSeedProvider",
        parameters: [{ seeds: `127.0.0.1:${ports.storage}` }],
      },
    ],
    listen_address: "127.0.0.1",
    rpc_address: "127.0.0.1",
    storage_port: ports.storage,
    start_native_transport: true,
    native_transport_port: ports.cql,
    ...(options.commitlogSync === "periodic"
      ? { commitlog_sync: "periodic", commitlog_sync_period: "10s" }
      : { commitlog_sync: "batch" }),
    // Sizes for one small node.
    commitlog_segment_size: "16MiB",
    commitlog_total_space: "256MiB",
    memtable_heap_space: "128MiB",
    memtable_offheap_space: "64MiB",
    key_cache_size: "16MiB",
    file_cache_size: "64MiB",
    networking_cache_size: "32MiB",
    concurrent_compactors: 1,
    hinted_handoff_enabled: false,
    // Dropped and truncated tables would be kept as snapshots.
    auto_snapshot: false,
    ...(options.passwords && {
      authenticator: "PasswordAuthenticator",
      authorizer: "CassandraAuthorizer",
      role_manager: "CassandraRoleManager",
    }),
    ...(options.tls && {
      client_encryption_options: {
        enabled: true,
        optional: true,
        keystore: options.tls.keystorePath,
        keystore_password: options.tls.keystorePassword,
        store_type: "PKCS12",
      },
    }),
  };
}

const javaOptions: readonly string[] = [
  "-XX:+UseSerialGC",
  "-XX:-UsePerfData",
  // There is nobody to wait for.
  "-Dcassandra.ring_delay_ms=1",
  "-Dcassandra.skip_wait_for_gossip_to_settle=0",
  "-Dcassandra.superuser_setup_delay_ms=0",
  "-Dcassandra.shutdown_announce_in_ms=0",
  "-Dcassandra-foreground=yes",
  // What Cassandra reaches into, as its own conf/jvm17-server.options opens it.
  "-Djdk.attach.allowAttachSelf=true",
  "-Djava.security.manager=allow",
  "-Dio.netty.tryReflectionSetAccessible=true",
  ...[
    "java.base/jdk.internal.misc",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "java.base/java.lang.ref",
    "jdk.unsupported/sun.misc",
  ].map((name) => `--add-exports=${name}=ALL-UNNAMED`),
  ...[
    "java.base/java.lang.module",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "jdk.management/com.sun.management.internal",
    "java.base/sun.nio.ch",
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/java.nio",
  ].map((name) => `--add-opens=${name}=ALL-UNNAMED`),
];

const logback = `<configuration scan="false">
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level [%thread] %date{ISO8601} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
`;

/** Two ports that were free a moment ago. */
async function freePorts(): Promise<{ cql: number; storage: number }> {
  const servers = await Promise.all([listenAnywhere(), listenAnywhere()]);
  const [cql, storage] = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return { cql: cql as number, storage: storage as number };
}

function listenAnywhere() {
  const server = createServer();
  return new Promise<typeof server>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const end = (accepted: boolean) => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}
