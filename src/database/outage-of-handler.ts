import { codeOf } from '../util/thrown.ts';
import { isConnectionError, isDiskFull, isRefusedAt, sqlState, unavailable } from './database-error.ts';

const DEFAULT_PORT = 5432;

/**
 * Knows, of what a handler threw that runs in no transaction of ours, whether the database was down or full for it:
 * whatever library it used. A code of PostgreSQL and the words of its clients are unmistakable; a connection that was
 * refused may be to anything, so it has to be to the database's port. One that was reset
 * does not say to where it led.
 * @param databaseUrl undefined: it is on PostgreSQL's own port
 * @returns what says, of an error, that it is DatabaseUnavailableError; any other error stays as it is
 */
export function outageOfHandler(databaseUrl: string | undefined): (error: unknown) => unknown {
  const port = portOf(databaseUrl);
  return (error) => (!isOurs(error) && saysThatItIsDown(error, port) ? unavailable('', error) : error);
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
