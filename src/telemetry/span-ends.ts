import { type Span, SpanStatusCode } from '@opentelemetry/api';
import type { Verdict } from '../message/handler.ts';
import { errorType } from '../util/error-type.ts';
import { maskUrl } from '../util/mask.ts';
import { quietly } from '../util/quietly.ts';
import { isError } from '../util/thrown.ts';

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
  quietly(() => {
    if (error !== undefined) {
      const exception = exceptionOf(error);
      span.setAttribute('error.type', errorType(error));
      span.recordException(exception);
      span.setStatus({ code: SpanStatusCode.ERROR, message: exception.message });
    }
  });
  quietly(() => span.end());
}

/** All of it texts, masked: what was thrown may have anything in their place, or nothing that can be read. */
function exceptionOf(error: unknown): { readonly name: string; readonly message: string; readonly stack?: string } {
  const name = errorType(error);
  try {
    if (!isError(error)) return { name, message: maskUrl(String(error)) };
    const { message, stack } = error as { readonly message: unknown; readonly stack?: unknown };
    return { name, message: maskUrl(String(message)), ...(typeof stack === 'string' ? { stack: maskUrl(stack) } : {}) };
  } catch {
    return { name, message: 'what was thrown cannot be read' };
  }
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
