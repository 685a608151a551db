/**
 * From node's requests to Connect's handlers: gRPC, gRPC-Web and Connect for every service, on one path each.
 *
 * connect-node's own adapter does the same; here a handler also gets at its response (for the direct writes of the hub),
 * a broken request head cannot throw past us, and an unknown method of a gRPC client is answered in gRPC.
 */

import type { ServerResponse } from "node:http";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ConnectRouterOptions,
  type ContextKey,
  createConnectRouter,
  createContextKey,
  createContextValues,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Logger } from "pino";
import type { HttpRequest, HttpResponse, RequestListener } from "../transport/one-port-listener.ts";

/** The request that a handler answers, as node sees it. */
export const nodeRequest: ContextKey<HttpRequest | undefined> = createContextKey<HttpRequest | undefined>(undefined, {
  description: "node request",
});

export interface ConnectAdapterOptions {
  routes: (router: ConnectRouter) => void;
  router: Omit<ConnectRouterOptions, "acceptCompression">;
  /** Takes what is no rpc. */
  fallback: RequestListener;
  log: Logger;
}

export function connectAdapter({
  routes,
  router: routerOptions,
  fallback,
  log,
}: ConnectAdapterOptions): RequestListener {
  const router = createConnectRouter({ ...routerOptions, acceptCompression: [compressionGzip, compressionBrotli] });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const path = pathOf(request);
    const handler = handlers.get(path);
    if (handler) {
      void serve(handler, request, response, log);
    } else if (isGrpc(request)) {
      refuseInGrpc(request, response, path);
    } else {
      fallback(request, response);
    }
  };
}

export function pathOf(request: HttpRequest): string {
  const url = request.url ?? "";
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}

async function serve(
  handler: UniversalHandler,
  request: HttpRequest,
  response: HttpResponse,
  log: Logger,
): Promise<void> {
  try {
    const contextValues = createContextValues().set(nodeRequest, request);
    const universal = universalRequestFromNodeRequest(request, response as never, undefined, contextValues);
    await universalResponseToNodeResponse(await handler(universal), response as never);
  } catch (error) {
    // Aborted: the client hung up while it was answered.
    if (ConnectError.from(error).code === Code.Aborted) {
      return;
    }
    log.warn({ err: error, rpc: handler.requestPath }, "a request could not be answered");
    if (!response.headersSent) {
      response.statusCode = 400;
    }
    end(response);
  }
}

function isGrpc(request: HttpRequest): boolean {
  return request.headers["content-type"]?.startsWith("application/grpc") ?? false;
}

/** UNIMPLEMENTED without a body ("Trailers-Only" of gRPC over HTTP/2; gRPC-Web takes it from the head likewise). */
function refuseInGrpc(request: HttpRequest, response: HttpResponse, path: string): void {
  response.statusCode = 200;
  response.setHeader("content-type", request.headers["content-type"] ?? "application/grpc");
  response.setHeader("grpc-status", String(Code.Unimplemented));
  response.setHeader("grpc-message", encodeURIComponent(`there is no method ${path}`));
  end(response);
}

/** The two kinds of response have one `end`, typed in two ways that do not unite. */
function end(response: HttpResponse): void {
  (response as ServerResponse).end();
}
