import { traceIdOf } from '../util/trace-context.ts';
import type { InFlight } from './in-flight.ts';

/** What a line of ours says of a message: which it is, and by which ids the rest of what belongs to it is found. */
export function messageFields({ delivery, exchange, routingKey, key, attempt }: InFlight): object {
  const { messageId, correlationId, headers } = delivery.properties;
  const traceId = headers && traceIdOf(headers);
  return {
    messageId,
    exchange,
    routingKey,
    attempt,
    ...(key === undefined ? {} : { key }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(traceId === undefined ? {} : { traceId }),
  };
}
