/**
 * A transport whose streams can be left unread for a while, as by a telephone in a tunnel: what comes stays in the
 * buffers of the connection, then in the gateway's queue. Stands under one reader. Owns the gate.
 */
import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import type { ContextValues, Transport } from "@connectrpc/connect";

export class StallingTransport implements Transport {
  readonly #inner: Transport;
  #gate: PromiseWithResolvers<void> | undefined;

  constructor(inner: Transport) {
    this.#inner = inner;
  }

  stall(): void {
    this.#gate ??= Promise.withResolvers();
  }

  /** Harmless where it does not stall. */
  goOn(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ) {
    return this.#inner.unary(method, signal, timeoutMs, header, input, contextValues);
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ) {
    const response = await this.#inner.stream(method, signal, timeoutMs, header, input, contextValues);
    return { ...response, message: this.#gated(response.message) };
  }

  async *#gated<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
    const iterator = messages[Symbol.asyncIterator]();
    for (;;) {
      await this.#gate?.promise;
      const next = await iterator.next();
      if (next.done) {
        return;
      }
      yield next.value;
    }
  }
}
