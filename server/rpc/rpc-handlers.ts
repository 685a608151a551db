/** Connect's handlers: gRPC, gRPC-Web and Connect for every service, on one path each, whatever HTTP version carries them. */
import {
  type ConnectRouter,
  type ConnectRouterOptions,
  type ContextKey,
  createConnectRouter,
  createContextKey,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import type { IncomingRequest } from "../transport/response-sink.ts";

/** The request that a handler answers, as its connection has it: the hub writes straight to it. */
export const incomingRequest: ContextKey<IncomingRequest | undefined> = createContextKey<IncomingRequest | undefined>(
  undefined,
  { description: "incoming request" },
);

/** By path, such as "/chat.v1.ChatService/Subscribe". */
export type RpcHandlers = ReadonlyMap<string, UniversalHandler>;

export function rpcHandlers(
  routes: (router: ConnectRouter) => void,
  options: Omit<ConnectRouterOptions, "acceptCompression">,
): RpcHandlers {
  const router = createConnectRouter({ ...options, acceptCompression: [compressionGzip, compressionBrotli] });
  routes(router);
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}

/** The target of a request without its query. */
export function pathOf(target: string): string {
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}
