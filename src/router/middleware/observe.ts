import type { Middleware } from '../../message/handler.ts';
import type { Telemetry } from '../../telemetry/telemetry.ts';

/** Tells of each run of a handler, inbox and commit included. Outermost, since it tells of verdicts. */
export function observe(telemetry: Telemetry, handler: string): Middleware {
  return (next) =>
    function observedHandler(incoming, context) {
      const trace = telemetry.handling(incoming, handler);
      if (!trace) return next(incoming, context);
      const run = trace.within(() => next(incoming, context));
      return run.then((verdict) => {
        trace.end(verdict);
        return verdict;
      });
    };
}
