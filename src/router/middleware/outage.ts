import type { Middleware } from '../../message/handler.ts';

/** @param error what was thrown; resolves to the same, or to an error of ours when it says that the database is down */
export type AsOutage = (error: unknown) => Promise<unknown>;

/**
 * For handlers without inbox: one whose own statement finds the database down has failed as by any outage, and no
 * attempt is counted. Otherwise all messages would be in the dead letters when the database is back.
 */
export function outage(asOutage: AsOutage): Middleware {
  return (next) =>
    function outageHandler(incoming, context) {
      return next(incoming, context).then(undefined, async (error: unknown) => {
        throw await asOutage(error);
      });
    };
}
