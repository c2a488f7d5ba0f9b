import { currentCorrelation } from '../util/correlation.ts';
import { traceHeaders } from '../util/trace-context.ts';
import type { MessageProperties } from './message.ts';

export interface Stamp {
  readonly messageId: string;
  /** AMQP `app_id`: who sends it. */
  readonly appId: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** The properties that every message of ours has: persistent JSON, and correlation and trace of what is being done. */
export function stampedProperties({ messageId, appId, now }: Stamp): MessageProperties {
  const headers = traceHeaders();
  return {
    contentType: 'application/json',
    deliveryMode: 2,
    messageId,
    appId,
    timestamp: Math.floor(now / 1000),
    correlationId: currentCorrelation()?.correlationId,
    ...(headers && { headers }),
  };
}
