/**
 * What the driver throws, sorted: whether Cassandra was out of reach, whether the same request can succeed at once, or
 * whether the request itself is at fault.
 */
import { errors, types } from "cassandra-driver";

/** Cassandra did not answer, or not as it should; the same call can succeed later. The stores turn it into their own. */
export class CassandraUnavailableError extends Error {
  override readonly name = "CassandraUnavailableError";
  readonly retryable = true;
  constructor(
    message: string,
    readonly retryAfterMs: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The tables in the keyspace are not those of this release, and no later try will change that. */
export class CassandraSchemaError extends Error {
  override readonly name = "CassandraSchemaError";
  readonly retryable = false;
}

const { responseErrorCodes } = types;

/** Answers that blame the statement: written so, it never succeeds. */
const faultsOfTheStatement: ReadonlySet<number> = new Set([
  responseErrorCodes.syntaxError,
  responseErrorCodes.invalid,
  responseErrorCodes.alreadyExists,
]);

/** The write may have happened, or happens if it is made again at once. */
const passingFailures: ReadonlySet<number> = new Set([
  responseErrorCodes.writeTimeout,
  responseErrorCodes.readTimeout,
  responseErrorCodes.overloaded,
  responseErrorCodes.isBootstrapping,
]);

/**
 * Whether Cassandra, not the statement, is at fault: no node, no answer in time, too few replicas, a refused password, a
 * missing grant. False for statements it refuses and for values that the driver cannot encode.
 */
export function isOutOfReach(error: unknown): error is Error {
  if (error instanceof errors.ResponseError) {
    return !faultsOfTheStatement.has(error.code);
  }
  if (error instanceof errors.ArgumentError || error instanceof errors.NotSupportedError) {
    return false;
  }
  // Sockets that close under a request are a plain DriverError.
  return error instanceof errors.DriverError || error instanceof errors.NoHostAvailableError;
}

/** Whether to make the request again at once, and not to wait until a node is back. */
export function isPassing(error: unknown): boolean {
  if (error instanceof errors.NoHostAvailableError) {
    return Object.values(error.innerErrors ?? {}).some(isPassing);
  }
  return error instanceof errors.ResponseError && passingFailures.has(error.code);
}

/** Whether a statement names a table, keyspace or column that is not there, or that this node has not heard of yet. */
export function namesWhatIsMissing(error: unknown): boolean {
  return error instanceof errors.ResponseError && error.code === responseErrorCodes.invalid;
}
