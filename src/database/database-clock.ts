import type { Clock } from '../lifecycle/clock.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { repeating } from '../lifecycle/repeating.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import type { Transactions } from './transactions.ts';

export interface DatabaseClockOptions {
  readonly transactions: Transactions;
  readonly logger: Logger;
  /** Between measurements, in ms: between them it runs by the monotonic clock. @default 60_000 */
  readonly intervalMs?: number;
}

interface Sample {
  /** The database's time in ms since the epoch at `atMs` of the monotonic clock. */
  readonly databaseMs: number;
  readonly atMs: number;
  readonly roundTripMs: number;
}

/** The first question of a session pays for the connection; the quickest answer tells the most. */
const QUESTIONS = 3;
/** An offset from which on it is told: deadlines of those without a database differ by so much. */
const NOTABLE_MS = 1_000;

/**
 * The database's time. Services that share deadlines have clocks of their own, which may be minutes apart; their databases
 * are what is kept on time. Until it is measured, and when it cannot be, it is this machine's own time.
 */
export class DatabaseClock implements Clock, Service {
  readonly name = 'database clock';
  readonly #options: Required<DatabaseClockOptions>;
  readonly #lifecycle: Lifecycle;
  #sample: Sample | undefined;

  constructor(options: DatabaseClockOptions) {
    this.#options = { intervalMs: 60_000, ...options };
    const everyMs = () => this.#options.intervalMs;
    const hooks = repeating({ work: () => this.#measure(), everyMs, isFirstAwaited: true });
    this.#lifecycle = new Lifecycle(this.name, hooks);
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /** Resolves when it was measured, or could not be. */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  now(): number {
    return this.#sample ? Math.floor(this.#sample.databaseMs + performance.now() - this.#sample.atMs) : Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  /** How far the database's time is ahead of this machine's, in ms; undefined until it is measured. */
  get offsetMs(): number | undefined {
    return this.#sample && this.now() - Date.now();
  }

  async #measure(): Promise<void> {
    const { transactions, logger } = this.#options;
    try {
      // In a transaction: the user's library may give us nothing else.
      const sample = await transactions.runOwn(() => this.#ask(), { name: this.name });
      const isFirst = this.#sample === undefined;
      this.#sample = sample;
      const offsetMs = Math.round(this.offsetMs ?? 0);
      if (isFirst && Math.abs(offsetMs) >= NOTABLE_MS) {
        logger.warn({ offsetMs }, "this machine's clock differs from the database's; deadlines go by the database's");
      }
    } catch (error) {
      logger.warn({ error }, "the database's clock could not be read; deadlines go by what is known");
    }
  }

  async #ask(): Promise<Sample> {
    const samples: Sample[] = [];
    for (let i = 0; i < QUESTIONS; i += 1) samples.push(await this.#askOnce());
    return samples.reduce((best, sample) => (sample.roundTripMs < best.roundTripMs ? sample : best));
  }

  async #askOnce(): Promise<Sample> {
    const executor = this.#options.transactions.current()?.executor;
    const sentMs = performance.now();
    const rows = await executor?.query<{ ms: number | string }>(
      'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms',
      [],
    );
    const answeredMs = performance.now();
    const databaseMs = Number(rows?.[0]?.ms);
    if (!Number.isFinite(databaseMs)) throw new TypeError(`no time: ${JSON.stringify(rows)}`);
    const roundTripMs = answeredMs - sentMs;
    return { databaseMs, atMs: sentMs + roundTripMs / 2, roundTripMs };
  }
}
