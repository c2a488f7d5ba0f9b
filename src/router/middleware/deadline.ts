import { DeadlineExceededError } from '../../errors.ts';
import { deriveContext } from '../../message/context.ts';
import type { MessageContext, Middleware, Verdict } from '../../message/handler.ts';
import { isExpired } from '../../wire/deadline.ts';

export interface DeadlineOptions {
  /** Reads it from the parsed body. @throws MalformedMessageError */
  readonly deadlineOf: (body: unknown) => Date | undefined;
  /** Milliseconds since the epoch, by the clock that deadlines are held against. */
  readonly now: () => number;
  /** How long past its deadline a message is still executed, in ms. */
  readonly skewToleranceMs: number;
}

const EXPIRED: Verdict = Object.freeze({ kind: 'ack', outcome: 'expired' });

/** Node's timers take 31 bits and fire at once for more. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Drops a message whose deadline has come, before a transaction is opened for it, and gives the handler a signal that
 * aborts at the deadline. A run that has begun is not ended by it: what it has done already stays its own to undo.
 */
export function deadline({ deadlineOf, now, skewToleranceMs }: DeadlineOptions): Middleware {
  return (next) =>
    function deadlineHandler(incoming, context) {
      const at = deadlineOf(incoming.body);
      if (at === undefined) return next(incoming, context);
      const nowMs = now();
      if (isExpired(at, nowMs, skewToleranceMs)) return Promise.resolve(EXPIRED);
      const limit = new Deadline(context, at, performance.now() + at.getTime() + skewToleranceMs - nowMs);
      return next(incoming, deriveContext(context, limit)).finally(() => limit.end());
    };
}

/**
 * The same look once more, inside the inbox: a message may have waited for its turn in a transaction that several share,
 * or for a connection. The inbox remembers it as done.
 */
export function deadlineAgain({ now, skewToleranceMs }: Omit<DeadlineOptions, 'deadlineOf'>): Middleware {
  return (next) =>
    function deadlineAgainHandler(incoming, context) {
      if (isExpired(context.deadline, now(), skewToleranceMs)) return Promise.resolve(EXPIRED);
      return next(incoming, context);
    };
}

/** The deadline of one run. Signal and timer are made only when the handler asks for the signal. */
class Deadline {
  readonly deadline: Date;
  readonly #context: MessageContext;
  /** On the monotonic clock. */
  readonly #endsAtMs: number;
  #abort: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #unfollow: (() => void) | undefined;

  constructor(context: MessageContext, deadline: Date, endsAtMs: number) {
    this.#context = context;
    this.deadline = deadline;
    this.#endsAtMs = endsAtMs;
  }

  /** Aborts at the deadline, and with the outer context's signal. */
  get signal(): AbortSignal {
    if (this.#abort) return this.#abort.signal;
    const abort = new AbortController();
    this.#abort = abort;
    const outer = this.#context.signal;
    if (outer.aborted) abort.abort(outer.reason);
    else {
      const follow = () => abort.abort(outer.reason);
      outer.addEventListener('abort', follow, { once: true });
      this.#unfollow = () => outer.removeEventListener('abort', follow);
      this.#wait();
    }
    return abort.signal;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#unfollow?.();
  }

  #wait(): void {
    const leftMs = Math.ceil(this.#endsAtMs - performance.now());
    if (leftMs <= 0) this.#abort?.abort(new DeadlineExceededError(this.deadline));
    else this.#timer = setTimeout(() => this.#wait(), Math.min(leftMs, MAX_TIMER_MS)).unref();
  }
}
