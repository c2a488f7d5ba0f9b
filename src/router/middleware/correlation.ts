import type { Middleware } from '../../message/handler.ts';
import { HEADER } from '../../message/message.ts';
import { canTravel, currentCorrelation, traceparentOf, withCorrelation } from '../../util/correlation.ts';

/** What the handler publishes and sends carries the message's correlation id and trace on. */
export function correlation(): Middleware {
  return (next) =>
    function correlationHandler(incoming, context) {
      const traceparent = traceparentOf(context.headers[HEADER.traceparent]);
      // Bytes that are no UTF-8 have become longer when they were read.
      const correlationId = canTravel(context.correlationId) ? context.correlationId : undefined;
      // Node 20 and 22 pay for each promise of a process once a storage has been entered: not for nothing.
      if (correlationId === undefined && traceparent === undefined && !currentCorrelation())
        return next(incoming, context);
      return withCorrelation({ correlationId, traceparent }, () => next(incoming, context));
    };
}
