/** chat.v1.HotWordService: what its rpcs mean. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { HotWordService } from "../../gen/chat/v1/hot_word_pb.ts";
import type { HotWordFeed } from "../room/hot-word-feed.ts";
import type { Hub } from "../room/hub.ts";
import type { RoomCatalog } from "../room/room-catalog.ts";
import { closeReader, endOf, openReader } from "./reader-stream.ts";

const wordsDefault = 10;

export function hotWordService(catalog: RoomCatalog, feed: HotWordFeed, hub: Hub): ServiceImpl<typeof HotWordService> {
  return {
    async listHotWords({ roomId, limit }) {
      await catalog.get(roomId);
      const { words, window } = await feed.list(roomId, limit || wordsDefault);
      return { words, window };
    },

    async *watchHotWords({ roomId, limit }, context) {
      await catalog.get(roomId);
      const wordsMax = limit || wordsDefault;
      const reader = openReader(hub, context, true);
      try {
        const first = await feed.list(roomId, wordsMax);
        yield first;
        reader.open();
        feed.watch(roomId, wordsMax, reader, first.words);
        await endOf(reader, context.signal);
      } finally {
        feed.unwatch(roomId, wordsMax, reader);
        closeReader(hub, reader);
      }
    },
  };
}
