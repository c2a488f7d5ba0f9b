import { deriveContext } from '../../message/context.ts';
import type { Middleware } from '../../message/handler.ts';
import { TimeLimit } from './time-limit.ts';

export interface TimeoutOptions {
  /** In ms, above 0, below 2^31. */
  readonly timeoutMs: number;
  /** Named in the error. */
  readonly handler: string;
}

/**
 * Gives up on what runs longer: `context.signal` aborts and HandlerTimeoutError is thrown outward, to the inbox, which
 * rolls back. A function that does not heed the signal goes on in vain, its transaction ended.
 */
export function timeout({ timeoutMs, handler }: TimeoutOptions): Middleware {
  return (next) => {
    const limit = new TimeLimit(timeoutMs, handler);
    return function timeoutHandler(incoming, context) {
      const run = limit.begin(context);
      return limit.within(run, () => next(incoming, deriveContext(context, run)));
    };
  };
}
