import { AsyncLocalStorage } from 'node:async_hooks';

/** What ties messages of one business action together: it travels from a handled message to those sent meanwhile. */
export interface Correlation {
  /** AMQP `correlation_id`. */
  readonly correlationId: string | undefined;
  /** W3C trace context, header `traceparent`. */
  readonly traceparent: string | undefined;
}

const ambient = new AsyncLocalStorage<Correlation>();

/**
 * Runs `fn` so that whatever it publishes or sends, also after an await, carries this correlation.
 * @param correlation the id alone, or id and `traceparent`
 */
export function withCorrelation<T>(correlation: string | Correlation, fn: () => T): T {
  const value = typeof correlation === 'string' ? { correlationId: correlation, traceparent: undefined } : correlation;
  return ambient.run(value, fn);
}

/** The correlation of the message being handled, or of the enclosing `withCorrelation`. */
export const currentCorrelation = (): Correlation | undefined => ambient.getStore();

/** W3C trace context, level 1 (https://www.w3.org/TR/trace-context-1/#traceparent-header). */
const TRACEPARENT = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;

/** A header's value when it is a trace context; anything else is not passed on. */
export const traceparentOf = (value: unknown): string | undefined =>
  typeof value === 'string' && TRACEPARENT.test(value) ? value : undefined;
