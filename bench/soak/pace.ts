import { setTimeout as sleep } from 'node:timers/promises';

/** Commits at once at most. */
const COMMITTERS = 16;

/** Produces at an even rate until told to stop; what is late is made up for. */
export class Pace {
  readonly #produce: (n: number) => Promise<void>;
  #started = 0;
  #produced = 0;
  #refused = 0;

  constructor(produce: (n: number) => Promise<void>) {
    this.#produce = produce;
  }

  get produced(): number {
    return this.#produced;
  }

  /** Not begun, for want of a connection: what a busy machine gives its users to try again. */
  get refused(): number {
    return this.#refused;
  }

  /** @param perSecond Infinity: as fast as it goes */
  async run(perSecond: number, ms: number): Promise<void> {
    const from = this.#started;
    const startMs = performance.now();
    const committer = async () => {
      for (;;) {
        const n = this.#started;
        const dueMs = startMs + ((n - from) * 1000) / perSecond;
        const nowMs = performance.now();
        if (Math.max(dueMs, nowMs) >= startMs + ms) return;
        this.#started += 1;
        if (dueMs > nowMs) await sleep(dueMs - nowMs);
        try {
          await this.#produce(n);
          this.#produced += 1;
        } catch (error) {
          if ((error as { code?: unknown }).code !== 'SVC_COMM_DATABASE_BUSY') throw error;
          this.#refused += 1;
        }
      }
    };
    await Promise.all(Array.from({ length: COMMITTERS }, committer));
  }
}
