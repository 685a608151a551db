/** compose.yaml against the programs that it starts: what it sets is what they take. Docker itself is not run. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gatewaySettings } from "../../server/settings.ts";
import { workerSettings } from "../../worker/settings.ts";
import { settings } from "./generated-parts.ts";
import { root } from "./markdown.ts";

interface Service {
  build?: { dockerfile_inline: string };
  command?: string[];
  environment?: Record<string, string>;
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: object;
  ports?: string[];
  volumes?: string[];
}

const { services, volumes } = Bun.YAML.parse(readFileSync(join(root, "compose.yaml"), "utf8")) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};
const ours = Object.entries(services).filter(([, { build }]) => build);
const tables = { "server/main.ts": gatewaySettings, "worker/main.ts": workerSettings };

test("two gateways and a worker's service are built, on the Bun that package.json names", () => {
  expect(ours.map(([name]) => name)).toEqual(["gateway-1", "gateway-2", "worker"]);
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { packageManager: string };
  for (const [, { build }] of ours) {
    expect(build?.dockerfile_inline).toStartWith(`FROM oven/${packageManager.replace("@", ":")}\n`);
  }
});

describe.each(ours)("%s", (_name, { command = [], environment = {}, depends_on = {} }) => {
  test("starts a program that there is, with settings that it takes and that join it to the others", () => {
    const [bun, program = ""] = command;
    expect({ bun, isThere: existsSync(join(root, program)) }).toEqual({ bun: "bun", isThere: true });
    const table = tables[program as keyof typeof tables];
    const known = settings(table.help()).map(({ variable }) => variable);
    expect(Object.keys(environment).filter((variable) => !known.includes(variable))).toEqual([]);
    expect(table.read([], environment)).toMatchObject({
      redisUrl: "redis://redis:6379",
      cassandraContactPoints: ["cassandra"],
    });
  });

  test("waits for services that there are and that say when they are well", () => {
    expect(Object.keys(depends_on)).toEqual(["redis", "cassandra"]);
    for (const [name, { condition }] of Object.entries(depends_on)) {
      expect({ condition, hasCheck: services[name]?.healthcheck !== undefined }).toEqual({
        condition: "service_healthy",
        hasCheck: true,
      });
    }
  });
});

test("ports are open to this machine only, and every volume is declared", () => {
  const ports = Object.values(services).flatMap((service) => service.ports ?? []);
  expect(ports).toEqual(["127.0.0.1:8080:8080", "127.0.0.1:8081:8080"]);
  const used = Object.values(services).flatMap((service) => service.volumes ?? []);
  expect(used.map((volume) => volume.split(":")[0] ?? "").sort()).toEqual(Object.keys(volumes).sort());
});
