import type { SqlExecutor } from '../database/executor.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Bell } from '../util/bell.ts';
import type { RelayStats } from './relay-stats.ts';
import { drawFence, hasPassed } from './sql/fence.ts';
import { prepareLease } from './sql/lease.ts';

export interface WakeupOptions {
  /** For the flag and the fence; never the connection that listens. */
  readonly db: SqlExecutor;
  readonly owner: string;
  readonly schema: string;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stats: RelayStats;
}

type WakeupState = 'awake' | 'fencing' | 'parked';

const MOVES: Readonly<Record<WakeupState, readonly WakeupState[]>> = {
  awake: ['fencing'],
  fencing: ['parked', 'awake'],
  parked: ['awake'],
};

/** Waits between the reads behind the fence, in ms, about a quarter of the time passed; the last repeats. */
const FENCE_WAITS_MS = [2, 5, 10, 10, 10, 15, 20, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 250] as const;
/** After rows came, reads go on at this pace for so long before parking; so they do between rows that keep coming. */
const LINGER_MS = 50;
const LINGER_PACE_MS = 3;
/** Commits notify as long as we are parked, which costs them: above this rate, or this long without a pause, we read instead. */
const RATE_WINDOW_MS = 500;
const RATE_LIMIT = 100;
const BUSY_MS = 100;

/**
 * When to read again after a read that found nothing. Commits notify only relays that are parked, and a commit that
 * looked at the flag just before it was set does not; hence the fence.
 *
 *              nothing found for a while:              every transaction from before
 *              flag set and committed, then the        the fence has ended;
 *              fence drawn                             one more read, nothing
 *     awake ─────────────────────────────▶ fencing ──────────────────────▶ parked
 *       ▲                                     │                               │
 *       │  too many notifications, rows without a pause: flag cleared         │
 *       └─────────────────────────────────────┴───────────────────────────────┘
 *
 * While fencing, the table is read again and again; while parked, at each notification and every `pollMs`. Rows that
 * a notification brought do not end the parking, so that a quiet service has neither flag updates nor polling.
 */
export class Wakeup {
  readonly #options: WakeupOptions;
  readonly #leases: ReturnType<typeof prepareLease>;
  readonly #bell = new Bell();
  #state: WakeupState = 'awake';
  #hears = false;
  #fence = 0n;
  #fenceReads = 0;
  #resets = 0;
  #dryAtMs: number;
  #rowsAtMs = Number.NEGATIVE_INFINITY;
  #windowAtMs = Number.NEGATIVE_INFINITY;
  #windowCount = 0;

  constructor(options: WakeupOptions) {
    this.#options = options;
    this.#leases = prepareLease(options.schema);
    this.#dryAtMs = options.clock.monotonicMs();
  }

  get isParked(): boolean {
    return this.#state === 'parked';
  }

  /** Whether notifications arrive; without, `idle` polls. */
  set hears(hears: boolean) {
    this.#hears = hears;
    this.#bell.ring();
  }

  /** Read now. */
  kick(): void {
    this.#bell.ring();
  }

  /** A commit says that there is something to read. */
  notified(): void {
    this.#options.stats.notified += 1;
    this.#bell.ring();
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#windowAtMs > RATE_WINDOW_MS) {
      this.#windowAtMs = nowMs;
      this.#windowCount = 0;
    }
    this.#windowCount += 1;
    if (this.#windowCount >= RATE_LIMIT) this.#awake();
  }

  /** Partitions came or went: their flags are not known. */
  reset(): void {
    this.#resets += 1;
    if (this.#state !== 'awake') this.#move('awake');
    this.#bell.ring();
  }

  /** A read begins: what rang before is answered by it. */
  reading(): void {
    this.#bell.clear();
  }

  /** A read found rows. */
  busy(): void {
    this.#rowsAtMs = this.#options.clock.monotonicMs();
    if (this.#rowsAtMs - this.#dryAtMs > BUSY_MS) this.#awake();
  }

  /**
   * A read found rows, and no more than these: resolves when the next should begin. While parked that is at the next
   * commit, which notifies, or has done so since the read began. Else it is a little later: reads without a pause bring
   * few rows each, and take from the committers what the parking saves them.
   */
  async dry(signal: AbortSignal): Promise<void> {
    if (this.#state !== 'parked') await this.#bell.wait(signal, LINGER_PACE_MS);
    else if (!this.#bell.hasRung) await this.idle(signal);
  }

  /** A read found nothing: resolves when the next should begin. */
  async idle(signal: AbortSignal): Promise<void> {
    const { clock, stats } = this.#options;
    this.#dryAtMs = clock.monotonicMs();
    const wasParked = this.#state === 'parked';
    await this.#pause(signal);
    if (wasParked) stats.parkedMs += clock.monotonicMs() - this.#dryAtMs;
    this.#dryAtMs = clock.monotonicMs();
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const { pollMs } = this.#options;
    if (!this.#hears) {
      await this.#bell.wait(signal, pollMs);
      return;
    }
    switch (this.#state) {
      case 'awake':
        if (this.#dryAtMs - this.#rowsAtMs < LINGER_MS) await this.#bell.wait(signal, LINGER_PACE_MS);
        else await this.#park();
        return;
      case 'fencing':
        await this.#passFence(signal);
        return;
      case 'parked':
        await this.#bell.wait(signal, pollMs);
        return;
      default:
        this.#state satisfies never;
    }
  }

  async #park(): Promise<void> {
    const { db, owner } = this.#options;
    const resets = this.#resets;
    await this.#leases.park(db, owner, true);
    // A transaction that has begun to write by now may have seen the flag unset.
    const fence = await drawFence(db);
    if (resets !== this.#resets) return;
    this.#fence = fence;
    this.#fenceReads = 0;
    this.#move('fencing');
  }

  async #passFence(signal: AbortSignal): Promise<void> {
    const passed = await hasPassed(this.#options.db, this.#fence);
    if (this.#state !== 'fencing') return;
    if (passed) {
      this.#move('parked');
      return;
    }
    const wait = FENCE_WAITS_MS[Math.min(this.#fenceReads, FENCE_WAITS_MS.length - 1)] ?? 0;
    this.#fenceReads += 1;
    await this.#bell.wait(signal, wait);
  }

  #awake(): void {
    if (this.#state === 'awake') return;
    this.#move('awake');
    const { db, owner, logger } = this.#options;
    // A flag that stays set costs the committers, nothing else.
    this.#leases.park(db, owner, false).catch((error: unknown) => {
      logger.debug({ error }, 'could not clear the parking flag');
    });
  }

  #move(to: WakeupState): void {
    if (!MOVES[this.#state].includes(to)) throw new Error(`wake-up cannot go from ${this.#state} to ${to}`);
    this.#state = to;
  }
}
