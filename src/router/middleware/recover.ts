import { inspect } from 'node:util';
import { ThrownValueError } from '../../errors.ts';
import type { Middleware, Verdict } from '../../message/handler.ts';
import { isOutage } from '../../util/is-outage.ts';
import { codeOf, isError } from '../../util/thrown.ts';

/**
 * Turns what was thrown inside into a verdict; the only layer that does, and the outermost.
 * - `Reject`, or a handler that committed its transaction itself: dead letters. A malformed message: dead letters.
 * - `RetryLater`: retry after its delay.
 * - an outage of broker or database, or our own stop or a lost delivery cut the run short: given back, no attempt counted
 * - anything else: retry as the settings say.
 */
export function recover(): Middleware {
  return (next) =>
    function recoverHandler(incoming, context) {
      const recovered = (thrown: unknown) => verdictOf(thrown, context.signal);
      try {
        return next(incoming, context).then(undefined, recovered);
      } catch (thrown) {
        return Promise.resolve(recovered(thrown));
      }
    };
}

function verdictOf(thrown: unknown, signal: AbortSignal): Verdict {
  const error = asError(thrown);
  // By code, not by class: a project may have two copies of this package loaded, the command's and its own.
  switch (codeOf(error)) {
    case 'SVC_COMM_REJECT':
      return { kind: 'dead', reason: 'rejected', error };
    // Its inbox row may be committed: a second run would find it, and be acked as a duplicate of what was half done.
    case 'SVC_COMM_TRANSACTION_ENDED_INSIDE':
      if (isRolledBack(error)) return { kind: 'retry', error };
      return { kind: 'dead', reason: 'rejected', error };
    case 'SVC_COMM_MALFORMED_MESSAGE':
      return { kind: 'dead', reason: 'malformed', error };
    default:
      if (isOutage(error) || isCutShort(signal)) return { kind: 'release', error };
      return { kind: 'retry', error, ...delayOf(error) };
  }
}

/** Whatever the run failed with then, it is not the handler's fault: no attempt is counted. */
export function isCutShort({ aborted, reason }: AbortSignal): boolean {
  const code = aborted && isError(reason) ? codeOf(reason) : undefined;
  return code === 'SVC_COMM_DELIVERY_LOST' || code === 'SVC_COMM_HANDLER_STOPPED';
}

const isRolledBack = (error: Error): boolean => 'fate' in error && error.fate === 'aborted';

function delayOf(error: Error): { delayMs?: number } {
  if (codeOf(error) !== 'SVC_COMM_RETRY_LATER' || !('delayMs' in error)) return {};
  return typeof error.delayMs === 'number' ? { delayMs: error.delayMs } : {};
}

/** What was thrown, as history, dead letters and answers need it: name and message are texts, and its code can be read. */
export function asError(thrown: unknown): Error {
  // Getters, proxies and inspect functions of its own may throw in turn.
  try {
    if (!isError(thrown)) return new ThrownValueError(inspect(thrown, { depth: 1 }));
    codeOf(thrown);
    const { name, message } = thrown as { readonly name: unknown; readonly message: unknown };
    if (typeof name === 'string' && typeof message === 'string') return thrown;
    const said = inspect({ name, message }, { depth: 1, breakLength: Number.POSITIVE_INFINITY });
    return new ThrownValueError(`an Error with ${said}`, 'are not both texts');
  } catch {
    return new ThrownValueError('something', 'cannot be read');
  }
}
