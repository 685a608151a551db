/** What can go wrong with a room log. `retryable` says whether the same call can succeed later. */

export class RoomClosedError extends Error {
  override readonly name = "RoomClosedError";
  readonly retryable = false;
  constructor(readonly roomId: string) {
    super(`room ${roomId} is closed`);
  }
}

export class ClientMessageIdReusedError extends Error {
  override readonly name = "ClientMessageIdReusedError";
  readonly retryable = false;
  constructor(readonly roomId: string) {
    super(`the client message id was used in room ${roomId} before, for another message`);
  }
}

export class RoomLogFullError extends Error {
  override readonly name = "RoomLogFullError";
  readonly retryable = true;
  constructor(
    readonly entries: number,
    readonly entriesMax: number,
    /** When it makes sense to try again. */
    readonly retryAfterMs: number,
    message = `the log holds ${entries} entries that are not stored yet, the limit is ${entriesMax}`,
  ) {
    super(message);
  }
}

export class RoomLogUnavailableError extends Error {
  override readonly name = "RoomLogUnavailableError";
  readonly retryable = true;
  constructor(
    message: string,
    readonly retryAfterMs: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
