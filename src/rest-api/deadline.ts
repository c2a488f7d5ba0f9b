import { type RequestLine, RestApiAbortedError, RestApiTimeoutError } from '../errors.ts';
import { onAbort } from '../util/on-abort.ts';

type Ending = { readonly kind: 'timeout' } | { readonly kind: 'aborted'; readonly reason: unknown };

/**
 * The time that a whole call has: one timer and one listener for login, attempts, waits and body. Whoever waits at the
 * moment watches it; a call waits for one thing at a time.
 */
export class Deadline {
  readonly timeoutMs: number;
  readonly #endsAt: number;
  readonly #timer: NodeJS.Timeout;
  readonly #forgetSignal: (() => void) | undefined;
  #ending: Ending | undefined;
  #watcher: (() => void) | undefined;

  constructor(timeoutMs: number, signal: AbortSignal | undefined) {
    this.timeoutMs = timeoutMs;
    this.#endsAt = performance.now() + timeoutMs;
    this.#timer = setTimeout(() => this.#end({ kind: 'timeout' }), timeoutMs);
    if (signal?.aborted) this.#end({ kind: 'aborted', reason: signal.reason });
    else this.#forgetSignal = onAbort(signal, () => this.#end({ kind: 'aborted', reason: signal?.reason }));
  }

  /** The time is over, or the caller's signal has aborted. */
  get isOver(): boolean {
    return this.#ending !== undefined;
  }

  get remainingMs(): number {
    return Math.max(0, this.#endsAt - performance.now());
  }

  /** Calls `onEnd` when the time is over or the caller's signal aborts: at once if it has been. Replaces the one before. */
  watch(onEnd: () => void): void {
    this.#watcher = onEnd;
    if (this.#ending) onEnd();
  }

  /** Why it ended, as the caller is told. */
  failure(request: RequestLine, cause?: unknown): RestApiTimeoutError | RestApiAbortedError {
    if (this.#ending?.kind === 'aborted') return new RestApiAbortedError(request, { cause: this.#ending.reason });
    return new RestApiTimeoutError(request, this.timeoutMs, cause === undefined ? undefined : { cause });
  }

  /** What `work` gives, unless the deadline comes first; `work` is not stopped by it. */
  race<T>(work: Promise<T>, request: RequestLine): Promise<T> {
    return new Promise((resolve, reject) => {
      this.watch(() => reject(this.failure(request)));
      work.then(resolve, reject);
    });
  }

  /** Waits; rejects when the deadline comes first. */
  wait(ms: number, request: RequestLine): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      this.watch(() => {
        clearTimeout(timer);
        reject(this.failure(request));
      });
    });
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#watcher = undefined;
    this.#forgetSignal?.();
  }

  #end(ending: Ending): void {
    this.#ending ??= ending;
    this.#watcher?.();
  }
}
