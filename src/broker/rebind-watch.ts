import { TopologyMismatchError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Bell } from '../util/bell.ts';
import { brokerText } from './amqp-error.ts';

/**
 * So often a consumer binds its queue again, in ms: with an exchange that somebody deletes its bindings go, and AMQP tells
 * no consumer.
 */
export const REBIND_MS = 60_000;

export interface RebindOptions {
  readonly rebind: () => Promise<void>;
  /** Longest time between the end of one and the beginning of the next. */
  readonly rebindMs: number;
  readonly queue: string;
  readonly logger: Logger;
}

/** Binds a consumer's queue again, after each reconnect and from time to time. A state that lasts is logged once. */
export class RebindWatch {
  readonly #options: RebindOptions;
  readonly #reconnected = new Bell();
  #problem: string | undefined;

  constructor(options: RebindOptions) {
    this.#options = options;
  }

  /** The consumer is back: what happened meanwhile nobody knows. */
  reconnected(): void {
    this.#reconnected.ring();
  }

  /**
   * Goes on until the signal aborts. Never rejects.
   * @param isConsuming while it is not, there is nothing to bind for
   */
  async watch(isConsuming: () => boolean, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // Consumers that were started together do not come together.
      await this.#reconnected.wait(signal, this.#options.rebindMs * (0.75 + 0.25 * Math.random()));
      if (signal.aborted || !isConsuming()) continue;
      const problem = await this.#options.rebind().catch((error: unknown) => error);
      if (!signal.aborted && isConsuming()) this.#tell(problem);
    }
  }

  #tell(error: unknown): void {
    const { logger, queue } = this.#options;
    const problem = error === undefined ? undefined : brokerText(error);
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (problem === undefined) logger.info({ queue }, 'exchanges and bindings are as wanted again');
    else if (error instanceof TopologyMismatchError) {
      logger.error({ queue, error }, 'exchanges or bindings are not as wanted: what they should bring does not come');
    } else logger.warn({ queue, error }, 'exchanges and bindings could not be looked at; trying again');
  }
}
