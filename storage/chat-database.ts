/**
 * The one SQLite file behind the embedded side of every seam: who may open it, its settings and its tables.
 *
 * It owns the connection, the statements prepared on it and the lock on the data directory. The stores (`embedded-room-log`,
 * `sqlite-history-store`, …) own their tables and share the connection; nothing here knows what a row means.
 *
 *     <directory>/chat.db        the data (write-ahead log beside it: chat.db-wal, chat.db-shm)
 *     <directory>/chat.lock      an empty SQLite file, locked as long as a process has the directory open
 */
import { Database, SQLiteError, type SQLQueryBindings, type Statement } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

export interface ChatDatabaseOptions {
  /** Where chat.db lies; made where it is missing. ":memory:" keeps everything in memory and shares it with nobody. */
  directory: string;
  /**
   * What a commit withstands. NORMAL (default): the end of the process, kill -9 too, but not of the machine's power, which
   * may take the last commits. FULL: also that, for an fsync a commit.
   */
  synchronous?: "NORMAL" | "FULL";
}

/** Another process, or another part of this one, has the data directory open. */
class DataDirectoryInUseError extends Error {
  override readonly name = "DataDirectoryInUseError";
  readonly retryable = false;
  constructor(
    readonly directory: string,
    options?: ErrorOptions,
  ) {
    super(`the data directory ${directory} is in use by another process; stop it or choose another directory`, options);
  }
}

/** The data were written by a later release. */
class DataTooNewError extends Error {
  override readonly name = "DataTooNewError";
  readonly retryable = false;
  constructor(
    readonly directory: string,
    readonly version: number,
    readonly versionMax: number,
  ) {
    super(`the data in ${directory} have version ${version}, this release knows versions up to ${versionMax}`);
  }
}

/** Entry n brings the tables from version n to n + 1 (PRAGMA user_version). Never change one that was released: add one. */
const migrations: readonly string[] = [
  `
  -- The one row: the epoch of the latest opening of the room log.
  CREATE TABLE log_opening (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL) STRICT;

  -- Each room that ever had an entry: its newest position, the newest one that group persist has done with, whether it ended.
  CREATE TABLE log_rooms (
    room_id TEXT PRIMARY KEY,
    top_epoch INTEGER NOT NULL,
    top_seq INTEGER NOT NULL,
    floor_epoch INTEGER,
    floor_seq INTEGER,
    final INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  -- What group persist has not done with. Of each room a gapless stretch that ends at its top; number counts all rooms.
  CREATE TABLE log_journal (
    number INTEGER PRIMARY KEY,
    room_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    event BLOB NOT NULL
  ) STRICT;

  -- What a repetition is recognised by, for the dedupe window.
  CREATE TABLE log_dedupe (
    room_id TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    PRIMARY KEY (room_id, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX log_dedupe_by_age ON log_dedupe (accepted_ms);

  CREATE TABLE history (
    room_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    event BLOB NOT NULL,
    PRIMARY KEY (room_id, epoch, seq)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE rooms (
    room_id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    status INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    version INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX rooms_newest_first ON rooms (created_ms DESC, room_id);

  CREATE TABLE dead_letters (
    room_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    event BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL,
    buried_ms INTEGER NOT NULL,
    PRIMARY KEY (room_id, epoch, seq)
  ) STRICT, WITHOUT ROWID;
  `,
];

export class ChatDatabase {
  readonly #database: Database;
  readonly #lock: Database | undefined;
  readonly #synchronous: "NORMAL" | "FULL";
  readonly #statements: { finalize(): void }[] = [];
  #open = true;

  /** @throws {DataDirectoryInUseError | DataTooNewError} or what the file system says */
  constructor({ directory, synchronous = "NORMAL" }: ChatDatabaseOptions) {
    this.#synchronous = synchronous;
    if (directory === ":memory:") {
      this.#database = new Database(":memory:", { strict: true });
      migrate(this.#database, directory);
      return;
    }
    mkdirSync(directory, { recursive: true });
    this.#lock = lockDirectory(directory);
    try {
      this.#database = new Database(join(directory, "chat.db"), { create: true, strict: true });
      // Somebody may look into the file from outside (sqlite3, a backup): wait for him a little, but not for long, since
      // everything else of this process waits too.
      this.#database.run("PRAGMA busy_timeout = 1000");
      this.#database.run("PRAGMA journal_mode = WAL");
      this.#database.run(`PRAGMA synchronous = ${synchronous}`);
      // After a burst the write-ahead log shrinks to this again (64 MiB).
      this.#database.run("PRAGMA journal_size_limit = 67108864");
      migrate(this.#database, directory);
    } catch (error) {
      this.#lock.close();
      throw error;
    }
  }

  /** Prepares a statement; it lives until the database closes, so prepare each once. */
  prepare<Row, Bindings extends SQLQueryBindings[]>(sql: string): Statement<Row, Bindings> {
    const statement = this.#database.prepare(sql);
    this.#statements.push(statement);
    return statement as unknown as Statement<Row, Bindings>;
  }

  /** Runs `work` as one step: all of it or, where it throws, nothing. Synchronous; not to be nested. */
  transaction<T>(work: () => T): T {
    this.#database.run("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#database.run("COMMIT");
      return result;
    } catch (error) {
      // SQLite ends the transaction itself after some errors (disk full, I/O); a second ROLLBACK would fail.
      if (this.#database.inTransaction) {
        this.#database.run("ROLLBACK");
      }
      throw error;
    }
  }

  /** As `transaction`, and it withstands a loss of power whatever `synchronous` says. */
  durableTransaction<T>(work: () => T): T {
    this.#database.run("PRAGMA synchronous = FULL");
    try {
      return this.transaction(work);
    } finally {
      this.#database.run(`PRAGMA synchronous = ${this.#synchronous}`);
    }
  }

  /** Runs one statement that is not worth preparing. */
  run(sql: string): void {
    this.#database.run(sql);
  }

  /** Closes the file and frees the directory. Closing twice is harmless. */
  close(): void {
    if (!this.#open) {
      return;
    }
    this.#open = false;
    // A statement left open would keep the file open behind our back (sqlite3_close_v2).
    for (const statement of this.#statements) {
      statement.finalize();
    }
    this.#database.close(true);
    this.#lock?.close();
  }
}

/** Whether the error is of the world (disk full, locked, broken), so that the same step can succeed later. */
export function isOutOfReach(error: unknown): error is SQLiteError {
  return error instanceof SQLiteError && outOfReach.test(error.code ?? "");
}

const outOfReach =
  /^SQLITE_(BUSY|LOCKED|FULL|IOERR|READONLY|CANTOPEN|NOMEM|PROTOCOL|CORRUPT|NOTADB|PERM|AUTH|INTERRUPT|NOLFS)/;

/**
 * The lock is SQLite's own on a second, empty file: the system gives it back however the process ends, kill -9 too, and
 * chat.db itself stays open to sqlite3 and to backups while the gateway runs.
 */
function lockDirectory(directory: string): Database {
  const lock = new Database(join(directory, "chat.lock"), { create: true });
  try {
    lock.run("PRAGMA busy_timeout = 0");
    lock.run("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    if (error instanceof SQLiteError && error.code === "SQLITE_BUSY") {
      throw new DataDirectoryInUseError(directory, { cause: error });
    }
    throw error;
  }
  return lock;
}

function migrate(database: Database, directory: string): void {
  const { user_version: version } = database.query<{ user_version: number }, []>("PRAGMA user_version").get() ?? {
    user_version: 0,
  };
  if (version > migrations.length) {
    database.close();
    throw new DataTooNewError(directory, version, migrations.length);
  }
  for (const [from, sql] of migrations.entries()) {
    if (from >= version) {
      database.run("BEGIN IMMEDIATE");
      database.run(sql);
      database.run(`PRAGMA user_version = ${from + 1}`);
      database.run("COMMIT");
    }
  }
}
