import { currentCorrelation } from '../util/correlation.ts';
import { HEADER, type MessageProperties } from './message.ts';

export interface Stamp {
  readonly messageId: string;
  /** AMQP `app_id`: who sends it. */
  readonly appId: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** The properties that every message of ours has: persistent JSON, and the correlation of what is being handled. */
export function stampedProperties({ messageId, appId, now }: Stamp): MessageProperties {
  const { correlationId, traceparent } = currentCorrelation() ?? {};
  return {
    contentType: 'application/json',
    deliveryMode: 2,
    messageId,
    appId,
    timestamp: Math.floor(now / 1000),
    correlationId,
    ...(traceparent === undefined ? {} : { headers: { [HEADER.traceparent]: traceparent } }),
  };
}
