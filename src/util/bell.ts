import { deferred } from './deferred.ts';

/**
 * Wakes one waiting loop. A ring while nobody waits is kept for the next wait, so none is missed between looking
 * and waiting.
 */
export class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  /** Whether the next wait is over at once. */
  get hasRung(): boolean {
    return this.#rung;
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Forgets an earlier ring: whatever it told of is about to be looked at. */
  clear(): void {
    this.#rung = false;
  }

  /**
   * Resolves at the next ring (at once after a kept one), after `ms`, or when the signal aborts.
   * @returns whether it rang
   */
  async wait(signal: AbortSignal, ms?: number): Promise<boolean> {
    if (!this.#rung && !signal.aborted) {
      const { promise, resolve } = deferred();
      const wake = () => resolve();
      const timer = ms === undefined ? undefined : setTimeout(wake, ms);
      this.#wake = wake;
      signal.addEventListener('abort', wake);
      await promise;
      signal.removeEventListener('abort', wake);
      this.#wake = undefined;
      clearTimeout(timer);
    }
    const rang = this.#rung;
    this.#rung = false;
    return rang;
  }
}
