/**
 * The service that the conformance suite calls: it answers what each request asks it to answer, and tells back what it
 * saw of the request.
 */
import { create, type DescService, type Message } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { ConnectError, type ConnectRouter, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  type Header,
  type RequestedError,
  type RequestInfo,
  type StreamRequest,
  type StreamResponseDefinition,
  suiteMessage,
  suiteTypes,
  type UnaryRequest,
  type UnaryResponseDefinition,
} from "./suite.ts";

/** Adds the service to a router. */
export function conformanceRoutes(router: ConnectRouter): void {
  const service = suiteTypes.getService("connectrpc.conformance.v1.ConformanceService");
  if (!service) {
    throw new Error("the conformance suite has no ConformanceService");
  }
  // The descriptor is read at run time, so the compiler cannot know its methods. `unimplemented` is left out on purpose.
  const methods = { unary, idempotentUnary: unary, clientStream, serverStream, bidiStream };
  router.service(service, methods as unknown as Partial<ServiceImpl<DescService>>);
}

function unary(request: UnaryRequest, context: HandlerContext) {
  return answerUnary([pack(request)], request.responseDefinition, observe(context), context);
}

async function clientStream(requests: AsyncIterable<UnaryRequest>, context: HandlerContext) {
  const observed = observe(context);
  const seen: Any[] = [];
  let definition: UnaryResponseDefinition | undefined;
  for await (const request of requests) {
    definition = seen.length === 0 ? request.responseDefinition : definition;
    seen.push(pack(request));
  }
  return answerUnary(seen, definition, observed, context);
}

async function* serverStream(request: StreamRequest, context: HandlerContext) {
  const observed = observe(context);
  const definition = request.responseDefinition;
  begin(definition, context);
  yield* remainingResponses(definition, 0, { ...observed, requests: [pack(request)] });
}

async function* bidiStream(requests: AsyncIterable<StreamRequest>, context: HandlerContext) {
  const observed = observe(context);
  let definition: StreamResponseDefinition | undefined;
  let fullDuplex = false;
  let first = true;
  let sent = 0;
  let seen: Any[] = [];
  for await (const request of requests) {
    if (first) {
      first = false;
      definition = request.responseDefinition;
      fullDuplex = request.fullDuplex ?? false;
      begin(definition, context);
    }
    seen.push(pack(request));
    if (!fullDuplex) {
      continue;
    }
    const data = definition?.responseData[sent];
    if (data === undefined) {
      break;
    }
    await Bun.sleep(definition?.responseDelayMs ?? 0);
    yield streamResponse(data, sent === 0 ? { ...observed, requests: seen } : { requests: seen });
    sent++;
    seen = [];
  }
  yield* remainingResponses(definition, sent, { ...observed, requests: seen });
}

/** Sends what is left of the responses asked for, then the error asked for. */
async function* remainingResponses(
  definition: StreamResponseDefinition | undefined,
  sentBefore: number,
  info: RequestInfo,
) {
  let sent = sentBefore;
  for (const data of definition?.responseData.slice(sent) ?? []) {
    await Bun.sleep(definition?.responseDelayMs ?? 0);
    yield streamResponse(data, sent === 0 ? info : undefined);
    sent++;
  }
  if (definition?.error) {
    throw toConnectError(definition.error, sent === 0 ? info : undefined);
  }
}

async function answerUnary(
  requests: Any[],
  definition: UnaryResponseDefinition | undefined,
  observed: Observed,
  context: HandlerContext,
) {
  begin(definition, context);
  const info = { ...observed, requests };
  await Bun.sleep(definition?.responseDelayMs ?? 0);
  if (definition?.response.case === "error") {
    throw toConnectError(definition.response.value, info);
  }
  return { payload: payload(definition?.response.value, info) };
}

function begin(
  definition: { responseHeaders: Header[]; responseTrailers: Header[] } | undefined,
  context: HandlerContext,
): void {
  appendAll(definition?.responseHeaders ?? [], context.responseHeader);
  appendAll(definition?.responseTrailers ?? [], context.responseTrailer);
}

function appendAll(from: readonly Header[], to: Headers): void {
  for (const { name, value } of from) {
    for (const each of value) {
      to.append(name, each);
    }
  }
}

function streamResponse(data: Uint8Array, info: RequestInfo | undefined) {
  return { payload: payload(data, info) };
}

function payload(data: Uint8Array | undefined, info: RequestInfo | undefined): Message {
  return create(suiteMessage("ConformancePayload"), { data, requestInfo: info });
}

type Observed = Omit<RequestInfo, "requests">;

/** What a call was like when it began: the timeout is what is left of it, so it is read before anything is awaited. */
function observe(context: HandlerContext): Observed {
  const timeoutMs = context.timeoutMs();
  return {
    requestHeaders: toHeaders(context.requestHeader),
    ...(timeoutMs !== undefined && { timeoutMs: BigInt(timeoutMs) }),
    ...(context.requestMethod === "GET" && {
      connectGetInfo: { queryParams: toHeaders(new URL(context.url).searchParams) },
    }),
  };
}

function toHeaders(entries: Iterable<[string, string]>): Header[] {
  return [...entries].map(([name, value]) => ({ name, value: [value] }));
}

function pack(request: Message): Any {
  return anyPack(suiteMessage(request.$typeName.slice(request.$typeName.lastIndexOf(".") + 1)), request);
}

function toConnectError(requested: RequestedError, info: RequestInfo | undefined): ConnectError {
  const error = new ConnectError(requested.message ?? "", requested.code);
  for (const { typeUrl, value } of requested.details) {
    error.details.push({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value });
  }
  if (info) {
    error.details.push({ desc: suiteMessage("ConformancePayload.RequestInfo"), value: { ...info } });
  }
  return error;
}
