/** What every call passes on its way in and out, the same on all protocols. */
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "pino";
import { refusalOf, refuse } from "./refusals.ts";
import type { RequestValidation } from "./validation.ts";

/**
 * Turns what services and seams throw into refusals. A failure that nobody foresaw becomes Internal: its cause goes to
 * our log, not to the caller.
 */
export function refusalInterceptor(log: Logger): Interceptor {
  const refused = (error: unknown, rpc: string, signal: AbortSignal): ConnectError => {
    const known = refusalOf(error);
    if (known) {
      return known;
    }
    if (signal.aborted || isPrematureClose(error)) {
      return new ConnectError("the client has gone", Code.Canceled, undefined, undefined, error);
    }
    log.error({ err: error, rpc }, "a call failed for a reason that nobody foresaw");
    return refuse("INTERNAL", "the gateway made a mistake", { cause: error });
  };
  return (next) => async (request) => {
    const rpc = `${request.service.typeName}/${request.method.name}`;
    try {
      const response = await next(request);
      if (!response.stream) {
        return response;
      }
      return { ...response, message: refusing(response.message, (error) => refused(error, rpc, request.signal)) };
    } catch (error) {
      throw refused(error, rpc, request.signal);
    }
  };
}

/** The request's body broke off before the signal of the call had a chance to say so. */
function isPrematureClose(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE";
}

async function* refusing<T>(messages: AsyncIterable<T>, refused: (error: unknown) => ConnectError): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw refused(error);
  }
}

/** Checks the request of every call but those of two-way streams, whose commands are answered one by one. */
export function validationInterceptor(validation: RequestValidation): Interceptor {
  return (next) => (request) => {
    if (!request.stream) {
      validation.check(request.method.input, request.message);
      return next(request);
    }
    if (request.method.methodKind === "server_streaming") {
      const { message, method } = request;
      return next({ ...request, message: checking(message, (each) => validation.check(method.input, each)) });
    }
    return next(request);
  };
}

async function* checking<T>(messages: AsyncIterable<T>, check: (message: T) => void): AsyncIterable<T> {
  for await (const message of messages) {
    check(message);
    yield message;
  }
}

/** The error of a call whose client has gone or whose deadline has passed. */
export function abortedError(signal: AbortSignal): ConnectError {
  return ConnectError.from(signal.reason, Code.Canceled);
}
