import {
  type DatabaseOutage,
  DatabaseRightsError,
  DatabaseUnavailableError,
  DeadlockError,
  MigrationRequiredError,
  SvcCommError,
  TransactionAbortedError,
  TransactionFinishedError,
  type TransactionLimit,
  TransactionTimeoutError,
} from '../errors.ts';

/** Five characters, but neither a socket's EPIPE nor prisma's own P1001 … P2037. */
const SQLSTATE = /^(?!EPIPE|P[12]\d{3})[0-9A-Z]{5}$/;
/** How the libraries wrap the server's error: drizzle and knex `cause`, sequelize `original`, typeorm `driverError`, prisma `meta`. */
const WRAPPERS = ['cause', 'original', 'parent', 'driverError', 'meta', 'driverAdapterError'] as const;
const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
]);
/** pg gives these failures no code, and knex puts the statement before their text. */
const LOST =
  /(?:^| - )(Connection terminated|Client has encountered a connection error|Client was closed|timeout expired|Connection ended)/i;
/** 57P03 is "starting up"; 53300 "too many clients" passes as well. */
const UNAVAILABLE_STATES = new Set(['57P01', '57P02', '57P03', '57P05', '53300']);
/** serialization_failure, deadlock_detected. */
const CONFLICTS = new Set(['40001', '40P01']);
/** What a standby answers to a write, and a session with default_transaction_read_only. */
const READ_ONLY = '25006';
const DISK_FULL = '53100';
/** Where PostgreSQL keeps what a query has no memory for: one that fills the disk by itself fails by its own doing. */
const TEMPORARY_FILES = /\bpgsql_tmp/;
/** No such role or wrong password, no such database, no right to connect to it. */
const REFUSED_STATES = new Set(['28P01', '28000', '3D000', '42501']);

const OUR_TABLE = /\bsvc_comm_\w+/;
/** What PostgreSQL names when a right is missing: of a schema it does not say for which of its tables. */
const OUR_TABLES = /\bsvc_comm_\w+|\bschema /;

/** The error and what it wraps, outermost first. */
function* layers(error: unknown): Generator<Record<string, unknown>> {
  const found = new Set([error]);
  for (const next of found) {
    if (typeof next !== 'object' || next === null) continue;
    const layer = next as Record<string, unknown>;
    yield layer;
    for (const key of WRAPPERS) found.add(layer[key]);
    if (next instanceof AggregateError) for (const one of next.errors) found.add(one);
  }
}

/** The server's five-character code, whichever library wrapped the error; undefined when it is not the server's. */
export function sqlState(error: unknown): string | undefined {
  for (const { code, originalCode } of layers(error)) {
    if (typeof code === 'string' && SQLSTATE.test(code)) return code;
    if (typeof originalCode === 'string' && SQLSTATE.test(originalCode)) return originalCode;
  }
  return undefined;
}

/** Whether the connection was refused or lost: what was under way is rolled back or, at COMMIT, unknown. */
export function isConnectionError(error: unknown): boolean {
  if (error instanceof DatabaseUnavailableError) return error.outage === 'unreachable' || error.outage === 'full';
  const state = sqlState(error);
  if (state !== undefined) return state.startsWith('08') || UNAVAILABLE_STATES.has(state);
  for (const { code, message } of layers(error)) {
    if (typeof code === 'string' && SOCKET_CODES.has(code)) return true;
    if (typeof message === 'string' && LOST.test(message)) return true;
  }
  return false;
}

/** Of a connection error without a code of PostgreSQL: whether it is a client's of PostgreSQL, or about this port. */
export function isRefusedAt(error: unknown, port: number): boolean {
  for (const layer of layers(error)) {
    if (layer.port === port) return true;
    if (typeof layer.message === 'string' && LOST.test(layer.message)) return true;
  }
  return false;
}

/**
 * Whether PostgreSQL ended the transaction for the sake of another one, and asks for it to be run again
 * (https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html).
 */
export const isConflict = (error: unknown): boolean => CONFLICTS.has(sqlState(error) ?? '');

/** By SQLSTATE. */
const TIME_LIMITS: Readonly<Record<string, TransactionLimit>> = Object.freeze({
  '25P03': 'idle_in_transaction_session_timeout',
  '25P04': 'transaction_timeout',
});

/** Whether PostgreSQL ended the transaction by a time limit: the connection is lost with it, and the database is not down. */
export const isTimeLimit = (error: unknown): boolean => (sqlState(error) ?? '') in TIME_LIMITS;

/** Whether the database refuses writes. */
export const isReadOnly = (error: unknown): boolean => sqlState(error) === READ_ONLY;

/** Whether the database has no room left for what it is to keep. */
export const isDiskFull = (error: unknown): boolean =>
  sqlState(error) === DISK_FULL && !TEMPORARY_FILES.test(errorText(error));

/** Whether trying again cannot help: credentials or database name. */
export const isAccessRefused = (error: unknown): boolean => REFUSED_STATES.has(sqlState(error) ?? '');

/** What went wrong, in the server's or socket's words; the innermost layer has them. */
export function errorText(error: unknown): string {
  let text = '';
  for (const { message, code } of layers(error)) {
    if (typeof message === 'string' && message !== '') text = message;
    else if (typeof code === 'string' && text === '') text = code;
  }
  return text === '' ? String(error) : text;
}

/**
 * The class of ours for a failed statement, or the error itself when there is none.
 * @param error what any of the libraries threw
 */
export function toDatabaseError(error: unknown): unknown {
  if (error instanceof SvcCommError) return error;
  const state = sqlState(error);
  const limit = TIME_LIMITS[state ?? ''];
  if (limit) return new TransactionTimeoutError(limit, { cause: error });
  switch (state) {
    case '42P01':
    case '42703':
    case '3F000': {
      const table = OUR_TABLE.exec(errorText(error))?.[0];
      return table === undefined ? error : new MigrationRequiredError(table, { cause: error });
    }
    case '42501':
      return OUR_TABLES.test(errorText(error)) ? new DatabaseRightsError(errorText(error), { cause: error }) : error;
    case '40P01':
      return new DeadlockError({ cause: error });
    case '25P02':
      return new TransactionAbortedError({ cause: error });
    case READ_ONLY:
      // Of a statement of ours: it waits for the primary, as for one that is down.
      return unavailable('', error);
    case DISK_FULL:
      return isDiskFull(error) ? unavailable('', error) : error;
    case '25P01':
      return new TransactionFinishedError({ cause: error });
    default:
      return error;
  }
}

/** @param url masked @param detail for what the server did not say itself */
export function unavailable(url: string, error: unknown, detail = errorText(error)): DatabaseUnavailableError {
  // It says already which database, and why.
  if (error instanceof DatabaseUnavailableError && error.url !== '') return error;
  return new DatabaseUnavailableError(url, detail, { cause: error, outage: outageOf(error) });
}

function outageOf(error: unknown): DatabaseOutage {
  if (sqlState(error) === '53300') return 'full';
  if (isReadOnly(error)) return 'read-only';
  return isDiskFull(error) ? 'disk-full' : 'unreachable';
}

/** What no start gets over, whatever it waits for: tables that are missing, or not for this user; undefined for the rest. */
export function tablesError(error: unknown): MigrationRequiredError | DatabaseRightsError | undefined {
  if (error instanceof MigrationRequiredError || error instanceof DatabaseRightsError) return error;
  return sqlState(error) === '42501' ? new DatabaseRightsError(errorText(error), { cause: error }) : undefined;
}
