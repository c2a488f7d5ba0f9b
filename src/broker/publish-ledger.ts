import type { Logger } from '../lifecycle/logger.ts';
import type { PublishOutcome } from '../message/publisher.ts';
import type { PublishEntry } from './publish-entry.ts';

/** Since the start of the process. */
export interface PublishStats {
  /** Sent, those sent again included. */
  published: number;
  confirmed: number;
  returned: number;
  refused: number;
  unknown: number;
}

const STAT_OF = {
  confirmed: 'confirmed',
  unroutable: 'returned',
  refused: 'refused',
  unknown: 'unknown',
} as const satisfies Record<PublishOutcome['kind'], keyof PublishStats>;

/** What is in flight, how many bytes it holds, and how each of them ended: every entry is settled here, once. */
export class PublishLedger {
  readonly stats: PublishStats = { published: 0, confirmed: 0, returned: 0, refused: 0, unknown: 0 };
  readonly #logger: Logger;
  #count = 0;
  #bytes = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  enter(entry: PublishEntry): void {
    this.#count += 1;
    this.#bytes += entry.bytes;
  }

  leave(entry: PublishEntry): void {
    this.#count -= 1;
    this.#bytes -= entry.bytes;
  }

  settle(entry: PublishEntry, outcome: PublishOutcome): void {
    if (entry.isSettled) return;
    entry.isSettled = true;
    this.settleOutside(entry.settle, outcome);
  }

  /** Settles what was turned away before it became an entry. */
  settleOutside(settle: PublishEntry['settle'], outcome: PublishOutcome): void {
    this.stats[STAT_OF[outcome.kind]] += 1;
    try {
      settle(outcome);
    } catch (error) {
      // We may be in amqplib's stack, where a throw would close the channel on all the others.
      this.#logger.error({ error }, 'a publish callback failed');
    }
  }
}
