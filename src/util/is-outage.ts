import { codeOf } from './thrown.ts';

/** What lasts until somebody has mended it: whoever is tried again meanwhile would have used up all attempts. */
const OUTAGES: ReadonlySet<unknown> = new Set([
  'SVC_COMM_BROKER_UNAVAILABLE',
  'SVC_COMM_DATABASE_UNAVAILABLE',
  // The password was changed, a right taken away, a table dropped: each start finds out, and a process that runs waits.
  'SVC_COMM_DATABASE_ACCESS_REFUSED',
  'SVC_COMM_DATABASE_RIGHTS',
  'SVC_COMM_MIGRATION_REQUIRED',
  // The inbox knows, when the message comes again, whether its effect is there.
  'SVC_COMM_COMMIT_ABORTED',
  'SVC_COMM_COMMIT_UNKNOWN',
]);

/**
 * Whether broker or database failed it, and not what it did. By code, not by class: a project may have two copies of this
 * package loaded, the command's and its own.
 */
export const isOutage = (error: unknown): boolean => OUTAGES.has(codeOf(error));
