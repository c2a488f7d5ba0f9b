import { ASKED_MS } from '../database/link.ts';
import { DatabaseUnavailableError } from '../errors.ts';
import { deferred } from '../util/deferred.ts';
import { onAbort } from '../util/on-abort.ts';
import { HttpProblem } from './problem.ts';

/**
 * What the first request starts, and all after it find. A start waits for a database that is down, for as long as that
 * takes; a request does not.
 */
export class FirstStart<T extends object> {
  readonly #start: () => Promise<T>;
  readonly #closing: AbortSignal;
  #asked: Promise<T> | undefined;

  /** @param start gives the same each time; while it starts, it is asked again */
  constructor(start: () => Promise<T>, closing: AbortSignal) {
    this.#start = start;
    this.#closing = closing;
  }

  /** @throws DatabaseUnavailableError within 10 s, HttpProblem when the server closes: the start goes on */
  get(): Promise<T> {
    // One wait for all who ask meanwhile: each would stay with the start for the whole of an outage.
    this.#asked ??= this.#within(ASKED_MS).finally(() => {
      this.#asked = undefined;
    });
    return this.#asked;
  }

  async #within(ms: number): Promise<T> {
    const over = deferred<undefined>();
    // Later than what has started already: who is answered while the server closes has it all the same.
    const end = () => void setImmediate(over.resolve, undefined);
    const timer = setTimeout(end, this.#closing.aborted ? 0 : ms);
    const forget = onAbort(this.#closing, end);
    try {
      const started = await Promise.race([this.#start(), over.promise]);
      if (started) return started;
    } finally {
      clearTimeout(timer);
      forget();
    }
    if (this.#closing.aborted) throw new HttpProblem(503, 'the server stops');
    throw new DatabaseUnavailableError('', `no answer within ${ms} ms`);
  }
}
