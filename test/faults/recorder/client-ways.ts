/** The ways on which the recorded clients reach a gateway: every protocol, on both versions of HTTP. */
import type { Interceptor } from "@connectrpc/connect";
import { createNodeTransport, type NodeTransportOptions } from "../../../client/node-transports.ts";
import { RotatingTransport } from "./rotating-transport.ts";

type Way = Pick<NodeTransportOptions, "protocol" | "httpVersion" | "useJson">;

const ways: readonly Way[] = [
  { protocol: "grpc", httpVersion: "2" },
  { protocol: "connect", httpVersion: "1.1" },
  { protocol: "grpc-web", httpVersion: "2" },
  { protocol: "connect", httpVersion: "2" },
  { protocol: "grpc-web", httpVersion: "1.1" },
  { protocol: "connect", httpVersion: "1.1", useJson: true },
];

/**
 * A transport of its own for the n-th client: the protocols by turns, the gateways by turns.
 * @param baseUrls of the gateways
 */
export function transportOf(
  n: number,
  baseUrls: readonly string[],
  interceptors: Interceptor[] = [],
): RotatingTransport {
  const way = ways[n % ways.length] as Way;
  // Short: a frozen gateway keeps its connections, and only a PING without an answer tells.
  const pings = { pingIntervalMs: 2_000, pingTimeoutMs: 2_000 };
  const transports = baseUrls.map((baseUrl) => createNodeTransport({ baseUrl, interceptors, ...pings, ...way }));
  return new RotatingTransport(transports, Math.floor(n / ways.length) + n);
}
