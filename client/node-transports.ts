/**
 * Transports for Bun and Node, over node:http and node:http2: all three protocols. Used by the terminal client, the feeder,
 * the load tool and the tests. A transport owns its HTTP/2 connection, which all its calls share.
 */
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";

export type NodeProtocol = "connect" | "grpc" | "grpc-web";

export interface NodeTransportOptions {
  /** Origin of the gateway, as "http://127.0.0.1:8080". */
  baseUrl: string;
  /** Default "grpc". */
  protocol?: NodeProtocol;
  /** Default "2": h2c, or HTTP/2 over TLS. gRPC has no other. */
  httpVersion?: "1.1" | "2";
  /** JSON instead of protobuf on the wire. Default false. */
  useJson?: boolean;
  interceptors?: Interceptor[];
  /**
   * A connection on which nothing came for so long is tested with a PING while calls are open, and given up when there
   * is no answer in time: a gateway that vanished without a FIN would otherwise keep the connection's calls for ever.
   * Defaults 10,000 and 5,000. HTTP/2 only.
   */
  pingIntervalMs?: number;
  pingTimeoutMs?: number;
}

/** @throws {RangeError} for gRPC over HTTP/1.1 */
export function createNodeTransport({
  baseUrl,
  protocol = "grpc",
  httpVersion = "2",
  useJson = false,
  interceptors,
  pingIntervalMs = 10_000,
  pingTimeoutMs = 5_000,
}: NodeTransportOptions): Transport {
  const common = { baseUrl, interceptors, useBinaryFormat: !useJson };
  const http2 = { httpVersion: "2" as const, pingIntervalMs, pingTimeoutMs };
  if (protocol === "grpc") {
    if (httpVersion !== "2") {
      throw new RangeError("gRPC needs HTTP/2; choose grpc-web or connect for HTTP/1.1");
    }
    return createGrpcTransport({ ...common, ...http2 });
  }
  const createTransport = protocol === "grpc-web" ? createGrpcWebTransport : createConnectTransport;
  return httpVersion === "2"
    ? createTransport({ ...common, ...http2 })
    : createTransport({ ...common, httpVersion: "1.1" });
}
