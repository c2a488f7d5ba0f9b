import { HandlerTimeoutError } from '../../errors.ts';
import { deriveContext } from '../../message/context.ts';
import type { MessageContext, Middleware, Verdict } from '../../message/handler.ts';

export interface TimeoutOptions {
  /** In ms, above 0, below 2^31. */
  readonly timeoutMs: number;
  /** Named in the error. */
  readonly handler: string;
}

/**
 * Gives up on what runs longer: `context.signal` aborts and HandlerTimeoutError is thrown outward, to the inbox, which
 * rolls back. A function that does not heed the signal goes on in vain, its transaction ended.
 */
export function timeout({ timeoutMs, handler }: TimeoutOptions): Middleware {
  return (next) =>
    function timeoutHandler(incoming, context) {
      return new Promise<Verdict>((resolve, reject) => {
        const signal = new LateSignal(context);
        const timer = setTimeout(() => {
          const error = new HandlerTimeoutError(handler, timeoutMs);
          signal.abort(error);
          reject(error);
        }, timeoutMs);
        const end = () => {
          clearTimeout(timer);
          signal.end();
        };
        const run = async () => next(incoming, deriveContext(context, signal));
        run().then(
          (verdict) => {
            end();
            resolve(verdict);
          },
          (error: unknown) => {
            end();
            reject(error);
          },
        );
      });
    };
}

/** The run's own signal, made only when the handler asks for it: most never do, and it costs as much as the rest. */
class LateSignal {
  readonly #outer: MessageContext;
  #own: AbortController | undefined;
  #reason: Error | undefined;
  #watched: AbortSignal | undefined;

  constructor(outer: MessageContext) {
    this.#outer = outer;
  }

  get signal(): AbortSignal {
    if (this.#own) return this.#own.signal;
    this.#own = new AbortController();
    const outer = this.#outer.signal;
    if (this.#reason) this.#own.abort(this.#reason);
    else if (outer.aborted) this.#own.abort(outer.reason);
    else {
      this.#watched = outer;
      outer.addEventListener('abort', this.#follow, { once: true });
    }
    return this.#own.signal;
  }

  abort(reason: Error): void {
    this.#reason = reason;
    this.#own?.abort(reason);
  }

  /** The outer signal may outlive thousands of runs. */
  end(): void {
    this.#watched?.removeEventListener('abort', this.#follow);
  }

  readonly #follow = (): void => this.#own?.abort(this.#watched?.reason);
}
