/** From our HTTP/2 streams to Connect's handlers, with nothing of node's between. */
import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { Logger } from "pino";
import type { StreamListener } from "../http/cors.ts";
import { ErrorCode } from "../transport/http2/frames.ts";
import { type Http2Stream, Http2StreamClosedError } from "../transport/http2/http2-stream.ts";
import { incomingRequest, pathOf, type RpcHandlers } from "./rpc-handlers.ts";
import { unknownRpcFields } from "./unknown-rpc.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** @param fallback takes what is no rpc */
export function http2Adapter(handlers: RpcHandlers, fallback: StreamListener, log: Logger): StreamListener {
  return (stream, fields) => {
    const path = pathOf(stream.head.path);
    const handler = handlers.get(path);
    if (handler) {
      void serve(handler, stream, fields, log);
      return;
    }
    const refusal = unknownRpcFields(stream.head.field("content-type"), path);
    if (refusal) {
      stream.respond(200, [...fields, ...refusal]);
      stream.end();
    } else {
      fallback(stream, fields);
    }
  };
}

async function serve(handler: UniversalHandler, stream: Http2Stream, fields: Fields, log: Logger): Promise<void> {
  try {
    const { method, scheme, authority, path, fields: requestFields } = stream.head;
    const abort = new AbortController();
    stream.onClose((error) => {
      if (error) {
        abort.abort(connectErrorOf(error));
      }
    });
    const response = await handler({
      httpVersion: "2.0",
      method,
      url: `${scheme}://${authority ?? ""}${path}`,
      header: new Headers(requestFields as [string, string][]),
      body: stream,
      signal: abort.signal,
      contextValues: createContextValues().set(incomingRequest, stream),
    });
    await answer(stream, response, fields);
  } catch (error) {
    // The client hung up while it was answered.
    if (error instanceof Http2StreamClosedError || stream.isClosed) {
      return;
    }
    log.warn({ err: error, rpc: handler.requestPath }, "a request could not be answered");
    if (stream.hasResponded) {
      stream.reset(ErrorCode.INTERNAL_ERROR);
    } else {
      stream.respond(400, []);
      stream.end();
    }
  }
}

/** @throws {Http2StreamClosedError} the client takes no more */
async function answer(stream: Http2Stream, response: UniversalServerResponse, fields: Fields): Promise<void> {
  const body = response.body?.[Symbol.asyncIterator]();
  let isWriteError = false;
  try {
    // The head is read after the first bytes of the body: until then a handler may add to it.
    let chunk = await body?.next();
    stream.respond(response.status, [...(response.header ?? []), ...fields]);
    while (body && chunk && chunk.done !== true) {
      if (!stream.send(chunk.value)) {
        await stream.writable();
        isWriteError = stream.isClosed;
        stream.throwIfClosed();
      }
      chunk = await body.next();
    }
    stream.end(response.trailer);
  } catch (error) {
    if (isWriteError) {
      // The handler gets to know what its bytes met with.
      body?.throw?.(error).catch(() => {});
    }
    throw error;
  } finally {
    body?.return?.().catch(() => {});
  }
}

/** What a client that reset its stream, or a connection that broke, is to a handler (gRPC over HTTP/2, "Errors"). */
function connectErrorOf({ errorCode, message }: Http2StreamClosedError): ConnectError | undefined {
  switch (errorCode) {
    case ErrorCode.NO_ERROR:
    case ErrorCode.STREAM_CLOSED:
      return undefined;
    case ErrorCode.REFUSED_STREAM:
      return new ConnectError(message, Code.Unavailable);
    case ErrorCode.CANCEL:
      return new ConnectError(message, Code.Canceled);
    case ErrorCode.ENHANCE_YOUR_CALM:
      return new ConnectError(message, Code.ResourceExhausted);
    case ErrorCode.INADEQUATE_SECURITY:
    case ErrorCode.HTTP_1_1_REQUIRED:
      return new ConnectError(message, Code.PermissionDenied);
    default:
      return new ConnectError(message, Code.Internal);
  }
}
