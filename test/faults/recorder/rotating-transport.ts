/**
 * A transport over several gateways: when a call fails for a reason that another gateway does not share, the next call
 * goes to the next one. Stands under one ChatClient; it retries nothing itself, that is the client's part.
 *
 * Owns which gateway is asked. For one reader or one sender each: they move on by their own experience.
 */
import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, type Transport } from "@connectrpc/connect";
import { isNetworkFailure } from "../../../client/refusal.ts";

export class RotatingTransport implements Transport {
  readonly #transports: readonly Transport[];
  #current: number;
  #hasStreamed = false;

  /**
   * @param transports one for each gateway, at least one
   * @param first the index of the one to begin with, so that clients spread
   */
  constructor(transports: readonly Transport[], first: number) {
    this.#transports = transports;
    this.#current = first % transports.length;
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    contextValues?: ContextValues,
  ) {
    const asked = this.#current;
    try {
      return await this.#transport(asked).unary(method, signal, timeoutMs, header, input, contextValues);
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      const isElsewhereBetter =
        error.code === Code.Unavailable || error.code === Code.DeadlineExceeded || isNetworkFailure(error);
      // Others of its calls may have moved on already.
      if (isElsewhereBetter && asked === this.#current) {
        this.#moveOn();
      }
      throw thrown;
    }
  }

  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
    contextValues?: ContextValues,
  ) {
    // A reader that opens a stream again was cut, sent away, or heard nothing: whatever it was, another gateway may do.
    if (this.#hasStreamed) {
      this.#moveOn();
    }
    this.#hasStreamed = true;
    return this.#transport(this.#current).stream(method, signal, timeoutMs, header, input, contextValues);
  }

  #moveOn(): void {
    this.#current = (this.#current + 1) % this.#transports.length;
  }

  #transport(index: number): Transport {
    return this.#transports[index] as Transport;
  }
}
