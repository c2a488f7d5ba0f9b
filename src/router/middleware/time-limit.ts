import { HandlerTimeoutError } from '../../errors.ts';
import type { MessageContext } from '../../message/handler.ts';
import { type Linked, LinkedSet } from '../../util/linked-set.ts';

/**
 * Watches over the runs of one handler, which all have the same time: they end in the order in which they began, so one
 * timer, set for the oldest, serves all. A timer for each message would cost as much as all else that we do for it.
 */
export class TimeLimit {
  readonly #timeoutMs: number;
  readonly #handler: string;
  /** In the order of their beginning. */
  readonly #runs = new LinkedSet<TimedRun>();
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number, handler: string) {
    this.#timeoutMs = timeoutMs;
    this.#handler = handler;
  }

  begin(context: MessageContext): TimedRun {
    const run = new TimedRun(context, performance.now() + this.#timeoutMs);
    this.#runs.add(run);
    this.#timer ??= this.#wakeIn(this.#timeoutMs);
    return run;
  }

  /** As the work ends, or a rejection as soon as its time is over. */
  within<T>(run: TimedRun, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      run.onExpired(reject);
      const failed = (error: unknown) => {
        this.#end(run);
        reject(error);
      };
      try {
        work().then((value) => {
          this.#end(run);
          resolve(value);
        }, failed);
      } catch (error) {
        failed(error);
      }
    });
  }

  #end(run: TimedRun): void {
    this.#runs.delete(run);
    run.end();
  }

  #wakeIn(ms: number): NodeJS.Timeout {
    // Whatever is being handled keeps the process alive by its connection; a timer left behind must not.
    return setTimeout(() => this.#expire(), Math.max(1, Math.ceil(ms))).unref();
  }

  #expire(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (let run = this.#runs.first; run; run = this.#runs.first) {
      if (run.endsAtMs > now) {
        this.#timer = this.#wakeIn(run.endsAtMs - now);
        return;
      }
      this.#runs.delete(run);
      run.expire(new HandlerTimeoutError(this.#handler, this.#timeoutMs));
    }
  }
}

/** One run. Its signal is made only when the handler asks for it: most never do. */
export class TimedRun implements Linked<TimedRun> {
  before: TimedRun | undefined = undefined;
  after: TimedRun | undefined = undefined;
  /** On the monotonic clock. */
  readonly endsAtMs: number;
  readonly #context: MessageContext;
  #reject: ((error: Error) => void) | undefined;
  #reason: Error | undefined;
  #abort: AbortController | undefined;
  #unfollow: (() => void) | undefined;

  constructor(context: MessageContext, endsAtMs: number) {
    this.#context = context;
    this.endsAtMs = endsAtMs;
  }

  onExpired(reject: (error: Error) => void): void {
    this.#reject = reject;
  }

  /** Aborts when the time is over, and with the outer context's signal. */
  get signal(): AbortSignal {
    if (this.#abort) return this.#abort.signal;
    const abort = new AbortController();
    this.#abort = abort;
    const outer = this.#context.signal;
    if (this.#reason) abort.abort(this.#reason);
    else if (outer.aborted) abort.abort(outer.reason);
    else {
      const follow = () => abort.abort(outer.reason);
      outer.addEventListener('abort', follow, { once: true });
      this.#unfollow = () => outer.removeEventListener('abort', follow);
    }
    return abort.signal;
  }

  expire(error: Error): void {
    this.#reason = error;
    this.#abort?.abort(error);
    this.#reject?.(error);
    this.end();
  }

  /** The outer signal may outlive thousands of runs. */
  end(): void {
    this.#unfollow?.();
  }
}
