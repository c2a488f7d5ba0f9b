import { BackpressureError, NotRunningError, PublishTimeoutError } from '../errors.ts';
import { type Logger, silentLogger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { MAX_BODY_BYTES, type Message } from '../message/message.ts';
import type { Publisher, PublishOptions, PublishOutcome, PublishPipe } from '../message/publisher.ts';
import type { ReplyListener } from '../message/replies.ts';
import type { DeclareMode, ExchangeType } from '../message/topology.ts';
import { onAbort } from '../util/on-abort.ts';
import { MAX_TIMER_MS } from '../util/sleep.ts';
import { isError } from '../util/thrown.ts';
import type { BrokerConnection } from './connection.ts';
import { ExchangeCheck } from './exchange-check.ts';
import { type CheckedMessage, checkMessage } from './message-check.ts';
import { TOLERANCE_MS } from './publish-deadlines.ts';
import { type PublishEntry, publishEntry } from './publish-entry.ts';
import { PublishFlow } from './publish-flow.ts';
import type { PublishStats } from './publish-ledger.ts';
import { RoomQueue } from './room-queue.ts';

export interface BrokerPublisherOptions {
  /** One that only publishes: a broker that blocks publishers reads nothing from their connections, acks included. */
  readonly connection: BrokerConnection;
  /** What to do about an exchange before the first publish to it; with `replies` it is looked at by all. @default 'create' */
  readonly declare?: DeclareMode;
  /** Types of exchanges that may have to be declared; topic for those not named. @default {} */
  readonly exchangeTypes?: Readonly<Record<string, ExchangeType>>;
  /**
   * An exchange that was there and has gone is left to its consumers for so long, in ms, and publishes to it are refused;
   * 0: it is made at once. Without effect unless `declare` is `create`. @default 0
   */
  readonly exchangeRestMs?: number;
  /** Until a publish is `unknown`. @default 30_000 */
  readonly timeoutMs?: number;
  /** Messages without an outcome, at most. @default 1_000 */
  readonly maxInFlight?: number;
  /** Their bodies together; one message may overshoot it. @default 16 MiB */
  readonly maxInFlightBytes?: number;
  /** A larger body is refused before it is sent. @default 16 MiB */
  readonly maxBodyBytes?: number;
  /** How long `stop` waits for confirms. @default 5_000 */
  readonly drainTimeoutMs?: number;
  /** Who waits for answers to what is sent with `reply_to: amq.rabbitmq.reply-to`. @default nobody */
  readonly replies?: ReplyListener | undefined;
  readonly logger?: Logger;
}

export const DEFAULT_BROKER_PUBLISHER_OPTIONS = Object.freeze({
  declare: 'create',
  exchangeTypes: Object.freeze({}),
  exchangeRestMs: 0,
  timeoutMs: 30_000,
  maxInFlight: 1_000,
  maxInFlightBytes: MAX_BODY_BYTES,
  maxBodyBytes: MAX_BODY_BYTES,
  drainTimeoutMs: 5_000,
  replies: undefined,
  logger: silentLogger,
} satisfies Omit<BrokerPublisherOptions, 'connection'>);

/** Publishes with confirms and `mandatory`. `start` resolves when its channel is open, waiting for the connection. */
export class BrokerPublisher implements Service, Publisher, PublishPipe {
  readonly name: string;
  readonly #connection: BrokerConnection;
  readonly #options: Required<Omit<BrokerPublisherOptions, 'connection'>>;
  readonly #flow: PublishFlow;
  readonly #rooms: RoomQueue;
  readonly #lifecycle: Lifecycle;
  #unlisten: () => void = () => undefined;

  constructor({ connection, ...options }: BrokerPublisherOptions) {
    this.#connection = connection;
    this.#options = { ...DEFAULT_BROKER_PUBLISHER_OPTIONS, ...options };
    this.name = `publisher on ${connection.name}`;
    const { declare, exchangeTypes, exchangeRestMs: restMs, replies } = this.#options;
    // A missing exchange closes the channel, and all answers that are waited for have their way back on it. Looking makes
    // nothing, and asks for no right.
    const mode = declare === 'none' && replies ? 'verify' : declare;
    const exchanges = new ExchangeCheck(connection, { mode, types: exchangeTypes, restMs });
    this.#rooms = new RoomQueue(() => this.#flow.room);
    this.#flow = new PublishFlow(connection, exchanges, this.#options, () => this.#rooms.changed());
    this.#lifecycle = new Lifecycle(this.name, { start: (signal) => this.#start(signal), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  get stats(): Readonly<PublishStats> {
    return this.#flow.ledger.stats;
  }

  get hasRoom(): boolean {
    return this.#flow.room > 0 && this.#isAccepting;
  }

  get inFlight(): number {
    return this.#flow.ledger.count;
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /** Takes no more, waits for the confirms of what is in flight; what has none then is `unknown`. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async room(signal: AbortSignal): Promise<void> {
    while (!this.hasRoom) {
      signal.throwIfAborted();
      await this.#rooms.wait(signal).catch(() => undefined);
    }
  }

  offer(message: Message, settle: (outcome: PublishOutcome) => void, mayGo?: () => boolean): void {
    const checked = this.#checked(message);
    if (isError(checked)) {
      this.#settleLater(settle, { kind: 'refused', error: checked });
      return;
    }
    const obstacle = this.#obstacle();
    if (obstacle) this.#settleLater(settle, { kind: 'unknown', error: obstacle });
    else this.#flow.accept(publishEntry(checked, settle, this.#options.timeoutMs, mayGo));
  }

  async publish(message: Message, options: PublishOptions = {}): Promise<void> {
    const { timeoutMs = this.#options.timeoutMs, signal } = options;
    signal?.throwIfAborted();
    const checked = checkMessage(message, options.maxBodyBytes ?? this.#options.maxBodyBytes);
    const deadlineMs = performance.now() + timeoutMs;
    for (let wasSent = false; ; ) {
      if (!this.#isAccepting) throw new NotRunningError(this.name, this.state);
      const leftMs = deadlineMs - performance.now();
      // An attempt may end this much before its time: it is no reason to send the message once more.
      if (leftMs <= (wasSent ? TOLERANCE_MS : 0)) {
        const { blockedReason } = this.#connection;
        if (wasSent) throw new PublishTimeoutError(checked.exchange, checked.routingKey, timeoutMs, { blockedReason });
        throw this.#connection.unavailable(this.#silence(timeoutMs));
      }
      if (!this.hasRoom) {
        await this.#roomUntil(leftMs, signal);
        continue;
      }
      // The message of a lost connection may have been taken; it is sent again with the same id.
      const { entry, outcome } = await this.#attempt(checked, leftMs, signal);
      wasSent ||= entry.isSent;
      if (outcome.kind === 'confirmed') return;
      if (outcome.kind !== 'unknown') throw outcome.error;
    }
  }

  #attempt(checked: CheckedMessage, timeoutMs: number, signal: AbortSignal | undefined): Promise<Attempt> {
    return new Promise<Attempt>((resolve, reject) => {
      const forget = onAbort(signal, () => reject(signal?.reason));
      const settle = (outcome: PublishOutcome) => {
        forget();
        resolve({ entry, outcome });
      };
      const entry = publishEntry(checked, settle, timeoutMs);
      this.#flow.accept(entry);
    });
  }

  /** Resolves when there may be room, when the time is over, and when we stop. */
  async #roomUntil(leftMs: number, signal: AbortSignal | undefined): Promise<void> {
    const end = new AbortController();
    const onEnd = () => end.abort();
    const timer = setTimeout(onEnd, Math.min(leftMs, MAX_TIMER_MS));
    const forget = onAbort(signal, onEnd);
    await this.#rooms.wait(end.signal).catch(() => undefined);
    clearTimeout(timer);
    forget();
    signal?.throwIfAborted();
  }

  get #isAccepting(): boolean {
    return this.state === 'running' || this.state === 'starting';
  }

  #checked(message: Message): CheckedMessage | Error {
    try {
      return checkMessage(message, this.#options.maxBodyBytes);
    } catch (error) {
      return isError(error) ? error : new Error(String(error));
    }
  }

  #obstacle(): Error | undefined {
    if (!this.#isAccepting) return new NotRunningError(this.name, this.state);
    if (!this.#connection.current) return this.#connection.unavailable('the connection is lost');
    return this.#flow.capacity > 0 ? undefined : new BackpressureError(this.inFlight);
  }

  #silence(timeoutMs: number): string {
    const reason = this.#connection.blockedReason;
    if (reason !== undefined) return `it takes no publishes (${reason}), for ${timeoutMs} ms`;
    return this.#connection.current ? `no room in flight within ${timeoutMs} ms` : `none within ${timeoutMs} ms`;
  }

  #settleLater(settle: PublishEntry['settle'], outcome: PublishOutcome): void {
    const { ledger } = this.#flow;
    queueMicrotask(() => ledger.settleOutside(settle, outcome));
  }

  async #start(signal: AbortSignal): Promise<void> {
    this.#unlisten = this.#connection.listen({
      opened: () => this.#flow.connected(),
      lost: (error) => this.#flow.disconnected(this.#connection.unavailable('the connection was lost', error)),
      unblocked: () => {
        this.#flow.pump();
        this.#rooms.changed();
      },
    });
    if (this.#connection.current) this.#flow.connected();
    while (!this.#flow.isReady && !signal.aborted) {
      await this.#rooms.change(signal).catch(() => undefined);
    }
  }

  async #stop(): Promise<void> {
    const limit = AbortSignal.timeout(this.#options.drainTimeoutMs);
    while (this.inFlight > 0 && !limit.aborted) await this.#rooms.change(limit).catch(() => undefined);
    this.#unlisten();
    this.#flow.disconnected(this.#connection.unavailable('the publisher was stopped'));
    this.#rooms.close();
  }
}

interface Attempt {
  readonly entry: PublishEntry;
  readonly outcome: PublishOutcome;
}
