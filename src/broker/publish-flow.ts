import { BrokerUnavailableError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { PublishOutcome } from '../message/publisher.ts';
import type { ReplyListener } from '../message/replies.ts';
import { backoffMs } from '../util/backoff.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';
import { DeadlineTimer } from './deadline-timer.ts';
import type { ExchangeCheck, ExchangeVerdict } from './exchange-check.ts';
import { type CheckedMessage, encodingError } from './message-check.ts';
import { PublishChannel, type PublishChannelEvents } from './publish-channel.ts';
import { isOver, isStuck, nextDeadline } from './publish-deadlines.ts';
import { type PublishEntry, refused, timedOut, unroutable, withheld } from './publish-entry.ts';
import { PublishLedger } from './publish-ledger.ts';
import { exchangeInError, findGuilty, isChargeable } from './suspects.ts';

export interface PublishFlowOptions {
  readonly timeoutMs: number;
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** Answers come back on the channel. */
  readonly replies?: ReplyListener | undefined;
  readonly logger: Logger;
}

/**
 * From `accept` to the outcome, on one confirm channel at a time.
 *
 *             connection open          channel open
 *   closed ───────────────────▶ opening ──────────▶ ready
 *     ▲                           │  ▲                │
 *     │ connection lost, stop     │  └────────────────┤ channel closed by the broker, or given up
 *     └───────────────────────────┴───────────────────┘
 *
 * Entries wait in `#queue`, in order, for what stops them: no channel yet, a blocked broker, an exchange not looked
 * at yet, or a suspect that must go alone. Then they wait in the channel's window for their confirm. Both count as
 * in flight.
 */
export class PublishFlow {
  readonly ledger: PublishLedger;
  readonly #connection: BrokerConnection;
  readonly #exchanges: ExchangeCheck;
  readonly #options: PublishFlowOptions;
  readonly #onChange: () => void;
  readonly #timer = new DeadlineTimer((nowMs) => this.#expire(nowMs));
  #state: 'closed' | 'opening' | 'ready' = 'closed';
  #channel: PublishChannel | undefined;
  #queue: PublishEntry[] = [];
  /** The suspect that is alone in the window. */
  #alone: PublishEntry | undefined;
  #checking: OpenConnection | undefined;
  #failedOpens = 0;

  /** @param onChange called whenever there may be room again, or nothing in flight any more */
  constructor(
    connection: BrokerConnection,
    exchanges: ExchangeCheck,
    options: PublishFlowOptions,
    onChange: () => void,
  ) {
    this.#connection = connection;
    this.#exchanges = exchanges;
    this.#options = options;
    this.ledger = new PublishLedger(options.logger);
    this.#onChange = onChange;
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  /** How many more fit now. */
  get room(): number {
    return this.#state === 'ready' && this.#connection.blockedReason === undefined ? this.capacity : 0;
  }

  /** The same, were the broker ready. One that overshoots the bytes is let through, or a large one could never go. */
  get capacity(): number {
    return this.ledger.bytes < this.#options.maxInFlightBytes ? this.#options.maxInFlight - this.ledger.count : 0;
  }

  /** Never settles before it returns. */
  accept(entry: PublishEntry): void {
    this.ledger.enter(entry);
    this.#timer.cover(Math.min(entry.deadlineMs, entry.acceptedMs + this.#options.timeoutMs));
    this.#queue.push(entry);
    this.pump();
  }

  /** Opens a channel on this connection. */
  connected(): void {
    this.#state = 'opening';
    // After the present turn of amqplib's: while it closes a connection, it would open a channel that never answers.
    queueMicrotask(() => void this.#open());
  }

  /** The connection is lost, or we stop: everything in flight is unknown. */
  disconnected(error: Error): void {
    const entries = [...this.#unconfirmed, ...this.#queue];
    this.#channel?.discard();
    this.#channel = undefined;
    this.#state = 'closed';
    this.#queue = [];
    this.#alone = undefined;
    this.#checking = undefined;
    this.#exchanges.forget();
    this.#timer.clear();
    this.#settleAsUnknown(entries, error);
  }

  /** Sends what may be sent. */
  pump(): void {
    for (let entry = this.#queue[0]; entry; entry = this.#queue[0]) {
      const channel = this.#channel;
      if (!channel || this.#connection.blockedReason !== undefined) return;
      if (this.#alone || (entry.isSuspect && channel.size > 0)) return;
      const { exchange, isExchangeForeign } = entry.message;
      if (!this.#exchanges.isKnown(exchange, isExchangeForeign)) return void this.#check(entry.message);
      this.#queue.shift();
      if (entry.mayGo?.() === false) queueMicrotask(() => this.#leave(entry, withheld(entry)));
      else this.#send(entry, channel);
    }
  }

  #send(entry: PublishEntry, channel: PublishChannel): void {
    try {
      channel.send(entry);
      if (entry.isSuspect) this.#alone = entry;
      this.ledger.stats.published += 1;
    } catch (error) {
      queueMicrotask(() => this.#leave(entry, { kind: 'refused', error: encodingError(error) }));
    }
  }

  async #open(): Promise<void> {
    const open = this.#connection.current;
    if (this.#state !== 'opening' || !open) return;
    try {
      const events: PublishChannelEvents = {
        onOutcome: (entry, outcome) => this.#leave(entry, outcome),
        onClosed: (unconfirmed, error) => this.#closed(channel, unconfirmed, error),
      };
      const channel = await PublishChannel.open(this.#connection, open, events, this.#options.replies);
      if (this.#state !== 'opening' || this.#connection.current !== open) return void channel.discard();
      this.#failedOpens = 0;
      this.#channel = channel;
      this.#state = 'ready';
      this.pump();
      this.#onChange();
    } catch (error) {
      if (this.#state !== 'opening' || this.#connection.current !== open) return;
      const delayMs = backoffMs(this.#failedOpens++);
      this.#options.logger.warn({ error: brokerText(error), delayMs }, 'no channel to publish on; trying again');
      setTimeout(() => void this.#open(), delayMs).unref();
    }
  }

  /** The entry has left window or queue. */
  #leave(entry: PublishEntry, outcome: PublishOutcome): void {
    this.ledger.leave(entry);
    if (entry === this.#alone) this.#alone = undefined;
    this.ledger.settle(entry, outcome);
    if (this.#queue.length > 0) this.pump();
    this.#onChange();
  }

  #settleAsUnknown(entries: readonly PublishEntry[], error: Error): void {
    for (const entry of entries) this.#leave(entry, { kind: 'unknown', error });
  }

  #closed(channel: PublishChannel, unconfirmed: readonly PublishEntry[], error: Error | undefined): void {
    if (channel !== this.#channel) return;
    this.#channel = undefined;
    this.#alone = undefined;
    this.connected();
    if (error && isChargeable(error)) this.#sift(unconfirmed, error);
    else this.#settleAsUnknown(unconfirmed, this.#connection.unavailable('the publish channel was closed', error));
  }

  /**
   * One of these messages has closed the channel. It alone is refused, as soon as it is known; all others are sent
   * again, in their order.
   */
  #sift(unconfirmed: readonly PublishEntry[], error: Error): void {
    const guilty = findGuilty(unconfirmed, error, this.#exchanges.mode !== 'none');
    const fields = { error: brokerText(error), unconfirmed: unconfirmed.length };
    this.#options.logger.warn(fields, 'the broker closed the publish channel; sending again what was unconfirmed');
    if (replyCode(error) === REPLY.notFound) {
      const exchange = exchangeInError(error);
      if (exchange !== undefined) this.#exchanges.gone(exchange);
      this.#exchanges.forget();
    }
    const others = unconfirmed.filter((entry) => entry !== guilty);
    this.#queue = [...others.filter((entry) => !entry.isSettled), ...this.#queue];
    if (guilty) for (const entry of this.#queue) entry.isSuspect = false;
    // A caller who has given up meanwhile has no need of it being sent again.
    this.#settleAsUnknown(
      others.filter((entry) => entry.isSettled),
      error,
    );
    if (guilty) this.#leave(guilty, refused(guilty, brokerText(error), error));
  }

  #check({ exchange, isExchangeForeign }: CheckedMessage): void {
    const open = this.#connection.current;
    if (!open || this.#checking === open) return;
    this.#checking = open;
    const done = (settle: () => void) => {
      if (this.#checking !== open) return;
      this.#checking = undefined;
      settle();
      this.pump();
    };
    this.#exchanges.ensure(exchange, open, isExchangeForeign).then(
      (verdict) => done(() => this.#checked(exchange, verdict)),
      (error: Error) => done(() => this.#settleAsUnknown(this.#take(exchange), error)),
    );
  }

  #checked(exchange: string, verdict: ExchangeVerdict): void {
    if (verdict.kind === 'missing') {
      for (const entry of this.#take(exchange, true)) this.#leave(entry, unroutable(entry));
    } else if (verdict.kind === 'refused') {
      const { reason, retryAfterMs } = verdict;
      const when = retryAfterMs === undefined ? {} : { retryAfterMs };
      for (const entry of this.#take(exchange, false)) this.#leave(entry, { ...refused(entry, reason), ...when });
    }
  }

  /** Takes what waits for an exchange out of the queue, or of that only those to whom it is foreign, or not. */
  #take(exchange: string, areForeign?: boolean): readonly PublishEntry[] {
    const isTaken = ({ message }: PublishEntry) =>
      message.exchange === exchange && (areForeign ?? message.isExchangeForeign) === message.isExchangeForeign;
    const taken = this.#queue.filter(isTaken);
    this.#queue = this.#queue.filter((entry) => !isTaken(entry));
    return taken;
  }

  /** @returns when to look again */
  #expire(nowMs: number): number {
    const { blockedReason } = this.#connection;
    for (const entry of this.#unconfirmed) {
      if (isOver(entry, nowMs)) this.ledger.settle(entry, timedOut(entry, blockedReason));
    }
    const late = this.#queue.filter((entry) => isOver(entry, nowMs));
    this.#queue = this.#queue.filter((entry) => !isOver(entry, nowMs));
    for (const entry of late) this.#leave(entry, timedOut(entry, blockedReason));
    if (this.#unconfirmed.some((entry) => isStuck(entry, this.#options.timeoutMs, nowMs))) this.#giveUpChannel();
    return nextDeadline(this.#unconfirmed, this.#queue, this.#options.timeoutMs);
  }

  get #unconfirmed(): readonly PublishEntry[] {
    return this.#channel?.unconfirmed ?? [];
  }

  #giveUpChannel(): void {
    const channel = this.#channel;
    if (!channel) return;
    this.#channel = undefined;
    this.#alone = undefined;
    const unconfirmed = channel.discard();
    this.#options.logger.error({ unconfirmed: unconfirmed.length }, 'confirms do not come; taking a new channel');
    this.connected();
    const error = new BrokerUnavailableError(this.#connection.urls, 'a confirm did not come in time');
    this.#settleAsUnknown(unconfirmed, error);
  }
}
