import type { SqlExecutor } from '../database/executor.ts';
import type { RelayStats } from './relay-stats.ts';
import { type PromotionStatements, preparePromotion } from './sql/promote-due.ts';

export interface PromotionOptions {
  readonly db: SqlExecutor;
  readonly schema: string;
  readonly batchSize: number;
  readonly stats: RelayStats;
}

/** Longest time between two looks: an event may be written that is due sooner than all others. */
export const PROMOTION_CHECK_MS = 500;
/** From then on a key's lock is waited for. */
const OVERDUE_MS = 300;
/** They are all read again with each try. */
const MOST_SKIPPED = 20_000;

/** Moves future events to the outbox when they are due. Several relays may do it; one at a time has an effect. */
export class Promotion {
  readonly #options: PromotionOptions;
  readonly #statements: PromotionStatements;
  /** Of those that are due, so many could not be moved in the tries before. */
  #skipped = 0;

  constructor(options: PromotionOptions) {
    this.#options = options;
    this.#statements = preparePromotion(options.schema);
  }

  /** Promotes what is due. @returns milliseconds until it should be called again */
  async runOnce(): Promise<number> {
    const { db, batchSize, stats } = this.#options;
    const dueMs = await this.#statements.nextDueMs(db);
    if (dueMs === undefined) return PROMOTION_CHECK_MS;
    if (dueMs > 0) return Math.min(PROMOTION_CHECK_MS, Math.ceil(dueMs));
    const { moved, isAlone } = await this.#statements.promote(db, batchSize, this.#skipped);
    stats.promoted += moved;
    if (moved > 0) {
      this.#skipped = 0;
      return 0;
    }
    // A transaction has locked all that are due first, or their keys: those behind them need not wait for it.
    if (isAlone && (await this.#looksBehind())) return 0;
    const hasSearched = this.#skipped > 0;
    if (isAlone) this.#skipped = 0;
    const waitMs = await this.#promoteOverdueKey();
    // It would all be read again.
    return hasSearched && waitMs > 0 ? PROMOTION_CHECK_MS : waitMs;
  }

  /** @returns whether there are more behind those that could not be moved */
  async #looksBehind(): Promise<boolean> {
    const { db, batchSize } = this.#options;
    const skipped = this.#skipped + batchSize;
    if (skipped >= MOST_SKIPPED || !(await this.#statements.isDueBehind(db, skipped))) return false;
    this.#skipped = skipped;
    return true;
  }

  async #promoteOverdueKey(): Promise<number> {
    const { db, batchSize, stats } = this.#options;
    const key = await this.#statements.overdueKey(db, OVERDUE_MS);
    if (key === undefined) return 50;
    const promoted = await this.#statements.promoteKey(db, key, batchSize);
    stats.promoted += promoted;
    return promoted > 0 ? 0 : PROMOTION_CHECK_MS / 2;
  }
}
