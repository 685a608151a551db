/**
 * The stores in Cassandra, joined: history and room directory on one connection, for one process.
 *
 * The gateway and the worker open it at start and close it last. It owns the connection that the stores share.
 */
import { CassandraHistoryStore } from "../history/cassandra-history-store.ts";
import { CassandraRoomDirectory } from "../rooms/cassandra-room-directory.ts";
import { CassandraConnection, type CassandraOptions } from "./connection.ts";

export interface CassandraStorageOptions extends CassandraOptions {
  /** The clock of created_at and updated_at of rooms, Unix ms. */
  now?: (() => number) | undefined;
}

export interface CassandraStorage {
  history: CassandraHistoryStore;
  rooms: CassandraRoomDirectory;
  /**
   * Resolves once there is a connection and the tables are there. Until then every call of the stores is refused, to be
   * made again later, so a process may also begin without Cassandra.
   * @throws {CassandraSchemaError} the keyspace cannot be used, and waiting does not help
   * @throws {CassandraUnavailableError} it was closed before
   */
  ready(): Promise<void>;
  /** Ends what is under way. Stop the workers before. Closing twice is harmless. */
  close(): Promise<void>;
}

/** Begins to connect; goes on trying until it is closed. @throws {RangeError} if the keyspace has no proper name */
export function openCassandra({ now, ...options }: CassandraStorageOptions): CassandraStorage {
  const connection = new CassandraConnection(options);
  const history = new CassandraHistoryStore(connection);
  const rooms = new CassandraRoomDirectory(connection, now);
  return {
    history,
    rooms,
    ready: () => connection.ready(),
    close: async () => {
      await history.close();
      await connection.close();
    },
  };
}
