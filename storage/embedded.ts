/**
 * The embedded side of the storage seams, joined: one SQLite file in a data directory, for one process.
 *
 * The gateway opens it at start and closes it last. It owns the connection that the stores share.
 */
import { ChatDatabase, type ChatDatabaseOptions } from "./chat-database.ts";
import type { DeadLetters } from "./dead-letters/dead-letters.ts";
import { SqliteDeadLetters } from "./dead-letters/sqlite-dead-letters.ts";
import type { HistoryStore } from "./history/history-store.ts";
import { SqliteHistoryStore } from "./history/sqlite-history-store.ts";
import { EmbeddedRoomLog, type EmbeddedRoomLogOptions } from "./log/embedded-room-log.ts";
import type { RoomDirectory } from "./rooms/room-directory.ts";
import { SqliteRoomDirectory } from "./rooms/sqlite-room-directory.ts";

export interface EmbeddedStorageOptions extends ChatDatabaseOptions {
  /** The clock of everything stored, Unix ms. */
  now?: () => number;
  /** The bounds of the room log. */
  log?: Omit<EmbeddedRoomLogOptions, "now">;
}

export interface EmbeddedStorage {
  log: EmbeddedRoomLog;
  history: HistoryStore;
  rooms: RoomDirectory;
  deadLetters: DeadLetters;
  /** Commits what is pending and frees the directory. Stop the workers before. Closing twice is harmless. */
  close(): Promise<void>;
}

/**
 * Opens the data in a directory, or makes them.
 * @throws {DataDirectoryInUseError} another process has them open
 * @throws {DataTooNewError} a later release wrote them
 */
export function openEmbeddedStorage({ now, log: bounds, ...options }: EmbeddedStorageOptions): EmbeddedStorage {
  const database = new ChatDatabase(options);
  try {
    const log = new EmbeddedRoomLog(database, { ...bounds, ...(now && { now }) });
    const history = new SqliteHistoryStore(database);
    const rooms = new SqliteRoomDirectory(database, now);
    const deadLetters = new SqliteDeadLetters(database, now);
    const close = async () => {
      await log.close();
      await history.close();
      database.close();
    };
    return { log, history, rooms, deadLetters, close };
  } catch (error) {
    database.close();
    throw error;
  }
}
