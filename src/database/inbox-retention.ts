import type { Logger } from '../lifecycle/logger.ts';
import { repeating } from '../lifecycle/repeating.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { tablesError } from './database-error.ts';

export interface InboxRetentionOptions {
  readonly stores: readonly RetainedStore[];
  /** Age from which a row is forgotten, in ms. */
  readonly retentionMs: number;
  /** Age of what waits longest in the outbox, in ms; undefined when nothing does. @default not looked at */
  readonly oldestWaitingMs?: (() => Promise<number | undefined>) | undefined;
  readonly logger: Logger;
}

/** What waits is to be handled within a day of being found. */
export const RETENTION_MARGIN_MS = 86_400_000;

export interface RetainedStore {
  /** @throws MigrationRequiredError when its table is missing */
  verify?(): Promise<void>;
  /** @returns how many rows were deleted */
  deleteExpired(olderThanMs: number, signal?: AbortSignal): Promise<number>;
}

/** Often enough that a day's rows never go in one piece; every consumer process does it, a batch that is gone is no harm. */
const INTERVAL_MS = 3_600_000;

/** Forgets, hour by hour, what the inbox has remembered for longer than the retention. */
export class InboxRetention implements Service {
  readonly name = 'inbox retention';
  readonly #options: InboxRetentionOptions;
  readonly #lifecycle: Lifecycle;

  constructor(options: InboxRetentionOptions) {
    this.#options = options;
    const everyMs = () => INTERVAL_MS * (0.9 + 0.2 * Math.random());
    const { start, stop } = repeating({ work: (end) => this.#forget(end), everyMs });
    this.#lifecycle = new Lifecycle(this.name, {
      stop,
      start: async (signal) => {
        // Before anything is consumed: without its table, or a right on it, every message would fail.
        for (const store of options.stores) {
          await store.verify?.().catch((error: unknown) => {
            const why = tablesError(error);
            if (why) throw why;
          });
        }
        await start(signal);
      },
    });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #forget(end: AbortSignal): Promise<void> {
    const { stores, retentionMs, logger } = this.#options;
    try {
      await this.#compare();
      let deleted = 0;
      for (const store of stores) deleted += await store.deleteExpired(retentionMs, end);
      if (deleted > 0) logger.debug({ deleted }, 'inbox rows past the retention were deleted');
    } catch (error) {
      // The next round takes them too: a database that is down has others to tell of it.
      logger.warn({ error }, 'inbox rows past the retention could not be deleted; trying again in an hour');
    }
  }

  /** What is published later than the inbox remembers a first copy of it has its effect again. */
  async #compare(): Promise<void> {
    const { retentionMs, oldestWaitingMs, logger } = this.#options;
    const oldestMs = await oldestWaitingMs?.();
    if (oldestMs === undefined || oldestMs + RETENTION_MARGIN_MS <= retentionMs) return;
    const text =
      'events wait in the outbox for nearly as long as the inbox remembers, or longer: one that was published before may ' +
      'have its effect twice; raise inbox.retention above their age and a day, and see `svc-comm doctor`';
    logger.warn({ oldestMs, retentionMs }, text);
  }
}
