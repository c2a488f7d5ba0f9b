import { codeOf } from '../util/thrown.ts';
import { isConnectionError, isDiskFull, isReadOnly, isRefusedAt, sqlState, unavailable } from './database-error.ts';

const DEFAULT_PORT = 5432;

/** How long after our connections were refused those of a handler's own may still lead to where they were, in ms. */
const AFTERMATH_MS = 60_000;

/** What our own transactions know of the database. */
export interface KnownRefusals {
  /** When a write was last refused as each would have been, by the monotonic clock, in ms. */
  readonly refusedAtMs: number;
  /** Asks the database. */
  refusesWrites(): Promise<boolean>;
}

/**
 * Knows, of what a handler threw that runs in no transaction of ours, whether the database was down, full or read-only
 * for it: whatever library it used. A code of PostgreSQL and the words of its clients are unmistakable; a connection that was
 * refused may be to anything, so it has to be to the database's port. One that was reset
 * does not say to where it led. PostgreSQL refuses a write in the same words when the handler has begun its transaction
 * READ ONLY, so whether it refuses those of others has to be asked. After a fail-over a handler's own pool may still lead to
 * the old server when ours leads to the new one: what it says is believed for a minute after ours was refused, and no
 * longer, since what is of the handler's own making would be tried for ever.
 * @param databaseUrl undefined: it is on PostgreSQL's own port
 * @param database the service's
 * @returns what says, of an error, that it is DatabaseUnavailableError; any other error stays as it is
 */
export function outageOfHandler(
  databaseUrl: string | undefined,
  database: KnownRefusals,
): (error: unknown) => Promise<unknown> {
  const port = portOf(databaseUrl);
  let refusedAtMs = Number.NEGATIVE_INFINITY;
  const refuses = async () => {
    // One that cannot be asked is down by now.
    if (await database.refusesWrites().catch(() => true)) refusedAtMs = performance.now();
    return performance.now() - Math.max(refusedAtMs, database.refusedAtMs) < AFTERMATH_MS;
  };
  return async (error) => {
    if (isOurs(error)) return error;
    const isOut = isReadOnly(error) ? await refuses() : saysThatItIsDown(error, port);
    return isOut ? unavailable('', error) : error;
  };
}

function saysThatItIsDown(error: unknown, port: number): boolean {
  if (isDiskFull(error)) return true;
  if (!isConnectionError(error)) return false;
  return sqlState(error) !== undefined || isRefusedAt(error, port);
}

function portOf(url: string | undefined): number {
  const port = url !== undefined && URL.canParse(url) ? new URL(url).port : '';
  return port === '' ? DEFAULT_PORT : Number(port);
}

/** By code, not by class: a project may have two copies of this package loaded. What was decided stays. */
export const isOurs = (error: unknown): boolean => codeOf(error)?.startsWith('SVC_COMM_') === true;
