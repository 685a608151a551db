/**
 * From node's HTTP/1.1 requests to Connect's handlers.
 *
 * connect-node's own adapter does the same; here a handler also gets at its connection (for the direct writes of the hub),
 * a broken request head cannot throw past us, and an unknown method of a gRPC-Web client is answered in gRPC.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Logger } from "pino";
import type { RequestListener } from "../transport/one-port-listener.ts";
import { incomingRequest, pathOf, type RpcHandlers } from "./rpc-handlers.ts";
import { unknownRpcFields } from "./unknown-rpc.ts";

/** @param fallback takes what is no rpc */
export function http1Adapter(handlers: RpcHandlers, fallback: RequestListener, log: Logger): RequestListener {
  return (request, response) => {
    const path = pathOf(request.url ?? "");
    const handler = handlers.get(path);
    if (handler) {
      void serve(handler, request, response, log);
      return;
    }
    const refusal = unknownRpcFields(request.headers["content-type"], path);
    if (refusal) {
      response.setHeaders(new Map(refusal));
      response.end();
    } else {
      fallback(request, response);
    }
  };
}

async function serve(
  handler: UniversalHandler,
  request: IncomingMessage,
  response: ServerResponse,
  log: Logger,
): Promise<void> {
  try {
    const contextValues = createContextValues().set(incomingRequest, request);
    const universal = universalRequestFromNodeRequest(request, response, undefined, contextValues);
    await universalResponseToNodeResponse(await handler(universal), response);
  } catch (error) {
    // Aborted: the client hung up while it was answered.
    if (ConnectError.from(error).code === Code.Aborted) {
      return;
    }
    log.warn({ err: error, rpc: handler.requestPath }, "a request could not be answered");
    if (!response.headersSent) {
      response.statusCode = 400;
    }
    response.end();
  }
}
