import type { Clock } from '../lifecycle/clock.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Message } from '../message/message.ts';
import type { PublishOutcome, PublishPipe } from '../message/publisher.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { isError } from '../util/thrown.ts';
import type { RelayLanes } from './relay-lanes.ts';
import type { UnroutablePolicy } from './relay-options.ts';
import { type OutboxRow, rowMessage } from './relay-row.ts';
import type { RelaySettler } from './relay-settler.ts';
import type { RelayStats } from './relay-stats.ts';
import { isKept } from './stored-properties.ts';

export interface RelaySenderOptions {
  readonly pipe: PublishPipe;
  readonly lanes: RelayLanes;
  readonly settler: Pick<RelaySettler, 'confirmed' | 'failed'>;
  readonly unroutable: UnroutablePolicy;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stats: RelayStats;
  /** Called after outcomes: there may be room to read, or something to read again. */
  readonly onProgress: () => void;
}

/** Routes that were warned about are remembered up to so many. */
const MAX_WARNED = 1000;

/** Takes rows from the lanes to the broker as long as it has room, and their outcomes to where they belong. */
export class RelaySender {
  readonly #options: RelaySenderOptions;
  readonly #warned = new Set<string>();
  #inFlight = 0;
  #isScheduled = false;
  #isWaiting = false;
  #signal: AbortSignal = AbortSignal.abort();

  constructor(options: RelaySenderOptions) {
    this.#options = options;
  }

  /** Rows handed to the broker and not settled. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Sends from now on until the signal aborts. */
  open(signal: AbortSignal): void {
    this.#signal = signal;
  }

  /** Sends what may be sent now. */
  pump(): void {
    const { pipe, lanes } = this.#options;
    while (pipe.hasRoom && !this.#signal.aborted) {
      const row = lanes.next();
      if (!row) return;
      this.#send(row);
    }
    if (lanes.readyCount > 0) this.#waitForRoom();
  }

  #waitForRoom(): void {
    if (this.#isWaiting || this.#signal.aborted) return;
    this.#isWaiting = true;
    this.#options.pipe.room(this.#signal).then(
      () => {
        this.#isWaiting = false;
        this.pump();
      },
      () => {
        this.#isWaiting = false;
      },
    );
  }

  #send(row: OutboxRow): void {
    const { pipe, lanes, settler, telemetry, clock, stats } = this.#options;
    const nowMs = clock.monotonicMs();
    if (!row.grant.isLive(nowMs)) {
      lanes.forget(row);
      return;
    }
    if (row.expiresAtMs !== null && row.expiresAtMs <= nowMs) {
      stats.expired += 1;
      lanes.confirmed(row);
      settler.confirmed(row);
      return;
    }
    const message = this.#message(row, nowMs);
    if (!message) return;
    // The text is not needed any more: what must be sent again is read again.
    row.body = '';
    this.#inFlight += 1;
    const { grant } = row;
    row.endSpan = telemetry.relaying(message);
    pipe.offer(
      message,
      (outcome) => this.#settle(row, outcome),
      () => grant.isLive(clock.monotonicMs()),
    );
  }

  #message(row: OutboxRow, nowMs: number): Message | undefined {
    try {
      return rowMessage(row, nowMs);
    } catch (error) {
      // somebody wrote the row by hand, with properties that are no JSON
      const unreadable = isError(error) ? error : new Error(String(error));
      this.#options.stats.refused += 1;
      this.#fail(row, unreadable);
      return undefined;
    }
  }

  #fail(row: OutboxRow, error: Error, retryAfterMs?: number): void {
    this.#warnOnce(row, error);
    this.#options.lanes.failed(row);
    this.#options.settler.failed(row, error.message, retryAfterMs);
  }

  #settle(row: OutboxRow, outcome: PublishOutcome): void {
    const { lanes, settler, stats, unroutable } = this.#options;
    this.#inFlight -= 1;
    row.endSpan?.(outcome.kind === 'confirmed' ? undefined : outcome.error);
    switch (outcome.kind) {
      case 'confirmed':
        stats.published += 1;
        lanes.confirmed(row);
        settler.confirmed(row);
        break;
      case 'unroutable':
        stats.unroutable += 1;
        if (isKept(row.properties, unroutable)) {
          this.#fail(row, outcome.error);
        } else {
          this.#warnOnce(row, outcome.error);
          lanes.confirmed(row);
          settler.confirmed(row);
        }
        break;
      case 'refused':
        stats.refused += 1;
        this.#fail(row, outcome.error, outcome.retryAfterMs);
        break;
      case 'unknown':
        stats.unknown += 1;
        lanes.forget(row);
        break;
      default:
        outcome satisfies never;
    }
    this.#schedule();
  }

  /** Outcomes come many at a time: one pump for all of them. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.pump();
      this.#options.onProgress();
    });
  }

  #warnOnce({ exchange, routingKey }: OutboxRow, error: Error): void {
    const route = `${error.name} ${exchange} ${routingKey}`;
    if (this.#warned.has(route) || this.#warned.size >= MAX_WARNED) return;
    this.#warned.add(route);
    this.#options.logger.warn(
      { exchange, routingKey, error },
      'a message of the outbox was not taken; warned about once',
    );
  }
}
