/**
 * The hot words of one room as they change: HotWordService.WatchHotWords, opened again whenever it ends. Each answer is
 * the whole list, so there is nothing to resume. Owns the reconnector.
 */
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import type { HotWord, HotWordService } from "../gen/chat/v1/hot_word_pb.ts";
import type { ConnectionState, EndedReason } from "./connection-state.ts";
import { Reconnector, type ReconnectorParts } from "./reconnect.ts";

export interface WatchHotWordsOptions {
  /** How many words, at most 50. Unset: 10. */
  limit?: number;
  /** The whole list, most used first. `windowMs`: how far back the counting goes. */
  onWords(words: readonly HotWord[], windowMs: number): void;
  onState?: (state: ConnectionState) => void;
  signal?: AbortSignal;
  /** Nothing came since the stream was opened. Default 10,000. */
  firstEventTimeoutMs?: number;
  /**
   * Opens the stream again after so long without a change. This stream has no heartbeats, so a quiet room and a dead
   * connection look alike. Default 120,000.
   */
  silenceMaxMs?: number;
}

export class HotWordsSubscription {
  /** Resolves with the reason when nothing more will come. Rejects only if a callback throws. */
  readonly done: Promise<EndedReason>;
  readonly #reconnector: Reconnector;

  constructor(parts: {
    roomId: string;
    hotWords: Client<typeof HotWordService>;
    options: WatchHotWordsOptions;
    reconnect: Omit<ReconnectorParts, "onState" | "signal">;
  }) {
    const { roomId, hotWords, options, reconnect } = parts;
    this.#reconnector = new Reconnector({ ...reconnect, onState: options.onState, signal: options.signal });
    this.done = this.#reconnector.run((link) => {
      link.allowSilence(options.firstEventTimeoutMs ?? 10_000);
      let isFirst = true;
      return link.read(
        hotWords.watchHotWords({ roomId, limit: options.limit ?? 0 }, { signal: link.signal }),
        ({ words, window }) => {
          if (isFirst) {
            isFirst = false;
            link.allowSilence(options.silenceMaxMs ?? 120_000);
            link.live({});
          }
          options.onWords(words, window ? durationMs(window) : 0);
        },
      );
    });
  }

  get state(): ConnectionState {
    return this.#reconnector.state;
  }

  stop(): void {
    this.#reconnector.stop();
  }

  /** Cuts the pause before the next try short. */
  retryNow(): void {
    this.#reconnector.retryNow();
  }
}
