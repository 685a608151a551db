/** Opens a way to Redis, wherever it is. */
import { RedisClusterLink } from "./redis-cluster-link.ts";
import { RedisConnection, type RedisLink, type RedisLinkOptions } from "./redis-link.ts";

/** Where Redis is: one server by URL (redis:// or rediss://, with user and password), or some nodes of a cluster. */
export type RedisEndpoint = { url: string } | { cluster: readonly string[] };

export function openRedisLink(endpoint: RedisEndpoint, options: RedisLinkOptions): RedisLink {
  return "url" in endpoint
    ? new RedisConnection(endpoint.url, options)
    : new RedisClusterLink(endpoint.cluster, options);
}
