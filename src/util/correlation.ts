import { AsyncLocalStorage } from 'node:async_hooks';
import { InvalidArgumentError } from '../errors.ts';

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
 * @param correlation the id alone, or id and `traceparent`; a `traceparent` that is none is not passed on
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for an id that no message can carry
 */
export function withCorrelation<T>(correlation: string | Correlation, fn: () => T): T {
  return ambient.run(checked(correlation), fn);
}

function checked(given: string | Correlation): Correlation {
  const isId = typeof given === 'string' || (typeof given !== 'object' && given !== undefined);
  const { correlationId, traceparent } = isId ? { correlationId: given, traceparent: undefined } : (given ?? NONE);
  const id: unknown = correlationId ?? undefined;
  if (id === undefined || canTravel(id)) return { correlationId: id, traceparent: traceparentOf(traceparent) };
  const got = typeof id === 'string' ? `one of ${Buffer.byteLength(id)} bytes` : String(id);
  throw new InvalidArgumentError('correlationId', `a text of at most ${MAX_ID_BYTES} bytes without NUL`, got);
}

const NONE: Correlation = Object.freeze({ correlationId: undefined, traceparent: undefined });

/** AMQP's limit for `correlation_id`. */
const MAX_ID_BYTES = 255;

/** Whether messages and rows of the outbox can carry it: PostgreSQL's texts have no NUL. */
export const canTravel = (id: unknown): id is string =>
  typeof id === 'string' && Buffer.byteLength(id) <= MAX_ID_BYTES && !id.includes('\0');

/** The correlation of the message being handled, or of the enclosing `withCorrelation`. */
export const currentCorrelation = (): Correlation | undefined => ambient.getStore();

/** W3C trace context, level 1 (https://www.w3.org/TR/trace-context-1/#traceparent-header). */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/;

/** A header's value when it is a trace context; anything else is not passed on. */
export const traceparentOf = (value: unknown): string | undefined =>
  typeof value === 'string' && TRACEPARENT.test(value) ? value : undefined;
