import { type Span, SpanStatusCode } from '@opentelemetry/api';
import type { Verdict } from '../message/handler.ts';
import { errorType } from '../util/error-type.ts';

/** Runs work that ends by a promise or at once, and tells when it is done. @param done gets what it failed with */
export function whenDone<T>(work: () => T, done: (error?: unknown) => void): T {
  let value: T;
  try {
    value = work();
  } catch (error) {
    done(error);
    throw error;
  }
  if (!(value instanceof Promise)) {
    done();
    return value;
  }
  return value.then(
    (result: unknown) => {
      done();
      return result;
    },
    (error: unknown) => {
      done(error ?? new Error('nothing was thrown'));
      throw error;
    },
  ) as T;
}

/** @param error what went wrong; undefined: nothing did */
export function endSpan(span: Span, error?: unknown): void {
  if (error !== undefined) {
    span.setAttribute('error.type', errorType(error));
    span.recordException(error instanceof Error ? error : String(error));
    span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
  }
  span.end();
}

/** What became of a message, in one word. */
export function outcomeOf(verdict: Verdict): string {
  if (verdict.kind === 'ack') return verdict.outcome;
  return verdict.kind === 'dead' ? 'dead-letter' : verdict.kind;
}

/** What the handler failed with; undefined when it did not. Of a call that was answered with an error, what it threw. */
export function failureOf(verdict: Verdict): unknown {
  if (verdict.kind !== 'ack') return verdict.error;
  return verdict.outcome === 'failed' ? verdict.value : undefined;
}
