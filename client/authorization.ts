/**
 * Adds the caller's token to every call, and asks for a fresh one when the gateway refuses it. Stands between the
 * clients and the transport. Owns one flag: whether the last token was refused.
 */
import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, type Transport } from "@connectrpc/connect";

/**
 * Answers the token for the next call; undefined for none. Asked at every call, so it should keep the token itself.
 * @param refused the gateway has refused the last one: get a new one, do not answer the same again
 */
export type TokenSource = (refused: boolean) => string | undefined | Promise<string | undefined>;

export class Authorization {
  readonly #source: TokenSource;
  #refused = false;

  constructor(source: TokenSource) {
    this.#source = source;
  }

  /** The next call gets a fresh token. */
  markRefused(): void {
    this.#refused = true;
  }

  /**
   * Puts `authorization: Bearer <token>` on every call of a transport. A unary call whose token is refused is made once
   * more with a fresh one; a stream is not, as its refusal comes while it is read (`Reconnector` does it there).
   */
  over(inner: Transport): Transport {
    const headerWithToken = (header: HeadersInit | undefined, signal: AbortSignal | undefined) =>
      this.#headerWithToken(header, signal);
    const markRefused = () => this.markRefused();
    return {
      async unary<I extends DescMessage, O extends DescMessage>(
        method: DescMethodUnary<I, O>,
        signal: AbortSignal | undefined,
        timeoutMs: number | undefined,
        header: HeadersInit | undefined,
        input: MessageInitShape<I>,
        contextValues?: ContextValues,
      ) {
        const call = async () =>
          inner.unary(method, signal, timeoutMs, await headerWithToken(header, signal), input, contextValues);
        try {
          return await call();
        } catch (thrown) {
          if (ConnectError.from(thrown).code !== Code.Unauthenticated) {
            throw thrown;
          }
          markRefused();
          return await call();
        }
      },
      async stream<I extends DescMessage, O extends DescMessage>(
        method: DescMethodStreaming<I, O>,
        signal: AbortSignal | undefined,
        timeoutMs: number | undefined,
        header: HeadersInit | undefined,
        input: AsyncIterable<MessageInitShape<I>>,
        contextValues?: ContextValues,
      ) {
        const withToken = await headerWithToken(header, signal);
        return inner.stream(method, signal, timeoutMs, withToken, input, contextValues);
      },
    };
  }

  async #headerWithToken(header: HeadersInit | undefined, signal: AbortSignal | undefined): Promise<Headers> {
    const refused = this.#refused;
    this.#refused = false;
    const token = await untilAborted(this.#source(refused), signal);
    const withToken = new Headers(header);
    if (token !== undefined) {
      withToken.set("authorization", `Bearer ${token}`);
    }
    return withToken;
  }
}

/** A token source that never answers must not hold a call beyond its signal. */
function untilAborted<T>(value: T | Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(ConnectError.from(signal?.reason, Code.Canceled));
    if (signal?.aborted) {
      abort();
      return;
    }
    signal?.addEventListener("abort", abort, { once: true });
    Promise.resolve(value)
      .then(resolve, reject)
      .finally(() => signal?.removeEventListener("abort", abort));
  });
}
