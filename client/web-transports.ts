/**
 * Transports for browsers, over fetch: Connect or gRPC-Web by name. Owns nothing.
 */
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

export type WebProtocol = "connect" | "grpc-web";

export interface WebTransportOptions {
  /** Origin of the gateway, as "https://chat.example". */
  baseUrl: string;
  /** Default "connect". */
  protocol?: WebProtocol;
  /** JSON instead of protobuf on the wire: bigger, but readable in the browser's tools. Default false. */
  useJson?: boolean;
  /** Stands in for the global one, as to cut the line on purpose. */
  fetch?: typeof globalThis.fetch;
  interceptors?: Interceptor[];
}

export function createWebTransport({
  baseUrl,
  protocol = "connect",
  useJson = false,
  fetch,
  interceptors,
}: WebTransportOptions): Transport {
  const options = { baseUrl, fetch, interceptors, useBinaryFormat: !useJson };
  return protocol === "grpc-web" ? createGrpcWebTransport(options) : createConnectTransport(options);
}
