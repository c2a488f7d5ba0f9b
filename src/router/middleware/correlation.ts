import type { Middleware } from '../../message/handler.ts';
import { HEADER } from '../../message/message.ts';
import { currentCorrelation, withCorrelation } from '../../util/correlation.ts';

/** W3C trace context, level 1. Anything else in the header is not passed on. */
const TRACEPARENT = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;

/** What the handler publishes and sends carries the message's correlation id and trace on. */
export function correlation(): Middleware {
  return (next) =>
    function correlationHandler(incoming, context) {
      const header = context.headers[HEADER.traceparent];
      const traceparent = typeof header === 'string' && TRACEPARENT.test(header) ? header : undefined;
      const { correlationId } = context;
      // Node 20 and 22 pay for each promise of a process once a storage has been entered: not for nothing.
      if (correlationId === undefined && traceparent === undefined && !currentCorrelation())
        return next(incoming, context);
      return withCorrelation({ correlationId, traceparent }, () => next(incoming, context));
    };
}
