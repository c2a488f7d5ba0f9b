import type { Middleware, Verdict } from '../message/handler.ts';
import { InFlight } from './in-flight.ts';

/**
 * Lets a run end from outside when the grace time is over, so that its transaction is rolled back although the handler
 * hangs. It stands inside of the inbox. A run without a transaction holds nothing that must end, and costs nothing here.
 */
export function cutShort(): Middleware {
  return (next) =>
    function cutShortHandler(incoming, context) {
      if (context.transaction === undefined || !(incoming instanceof InFlight)) return next(incoming, context);
      return new Promise<Verdict>((resolve, reject) => {
        incoming.onCutShort(reject);
        next(incoming, context).then(resolve, reject);
      });
    };
}
