import type { Incoming, Middleware, Verdict } from '../../message/handler.ts';
import type { Telemetry } from '../../telemetry/telemetry.ts';
import type { NextRunMs } from '../kind.ts';

/** Tells of each run of a handler, inbox and commit included. Outermost, since it tells of verdicts. */
export function observe(telemetry: Telemetry, handler: string, nextRunMs: NextRunMs): Middleware {
  /** What becomes of the message by its verdict and the attempts that it has had. */
  const ending = (incoming: Incoming, verdict: Verdict): Verdict =>
    verdict.kind === 'retry' && nextRunMs(incoming, verdict.delayMs) === undefined
      ? { kind: 'dead', reason: 'attempts', error: verdict.error }
      : verdict;
  return (next) =>
    function observedHandler(incoming, context) {
      const trace = telemetry.handling(incoming, handler);
      if (!trace) return next(incoming, context);
      const run = trace.within(() => next(incoming, context));
      return run.then((verdict) => {
        trace.end(ending(incoming, verdict));
        return verdict;
      });
    };
}
