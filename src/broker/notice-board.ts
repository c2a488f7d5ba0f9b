import type { Channel } from 'amqplib';
import type { Logger } from '../lifecycle/logger.ts';
import type { ServiceState } from '../lifecycle/service.ts';
import type { Notice, NoticeBoard, NoticeOptions } from '../message/notices.ts';
import type { DeclareMode } from '../message/topology.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import type { BrokerConnection } from './connection.ts';
import { ExchangeCheck } from './exchange-check.ts';
import { TemporaryQueue } from './temporary-queue.ts';

export interface BrokerNoticeBoardOptions extends NoticeOptions {
  readonly connection: BrokerConnection;
  /** A durable topic exchange; with `create` it is made when it is missing. */
  readonly exchange: string;
  readonly declare: Exclude<DeclareMode, 'none'>;
  /** What nobody has read after that is worth nothing any more, in ms. */
  readonly ttlMs: number;
  readonly logger: Logger;
}

/** Of a listener that does not read, the oldest go: what it missed is said again. */
const MAX_WAITING = 1_000;
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

/**
 * Notices by a topic exchange, heard by a temporary queue. They are not confirmed and not kept, and cost the broker
 * nothing while nobody listens.
 */
export class BrokerNoticeBoard implements NoticeBoard {
  readonly name: string;
  readonly #options: BrokerNoticeBoardOptions;
  readonly #exchanges: ExchangeCheck;
  readonly #queue: TemporaryQueue;
  /** Why the exchange is not there and cannot be made. */
  #refusal: string | undefined;
  #unlisten: (() => void) | undefined;

  constructor(options: BrokerNoticeBoardOptions) {
    const { connection, exchange, declare, logger, onRefused, onDeaf } = options;
    this.name = `notices of ${exchange}`;
    this.#options = options;
    this.#exchanges = new ExchangeCheck(connection, { mode: declare, types: { [exchange]: 'topic' }, restMs: 0 });
    this.#queue = new TemporaryQueue({
      connection,
      name: this.name,
      bind: (channel, queue) => this.#bind(channel, queue),
      arguments: { 'x-max-length': MAX_WAITING, 'x-max-length-bytes': MAX_WAITING_BYTES },
      onMessage: ({ fields, content }) => this.#options.onNotice({ topic: fields.routingKey, body: content }),
      onLost: onDeaf,
      onRefused: (error) => {
        // What else the broker says (the exchange was deleted meanwhile) may be otherwise the next time.
        const isForGood = this.#refusal !== undefined || replyCode(error) === REPLY.accessRefused;
        if (isForGood) onRefused(this.#refusal ?? brokerText(error));
        return !isForGood;
      },
      logger,
    });
  }

  get state(): ServiceState {
    return this.#queue.state;
  }

  get isHearing(): boolean {
    return this.#queue.isReceiving && this.#options.connection.blockedReason === undefined;
  }

  start(): Promise<void> {
    this.#unlisten ??= this.#options.connection.listen({
      // It is short of memory or disk, and holds everybody back: that nobody is heard says nothing.
      blocked: () => this.#options.onDeaf(),
      unblocked: () => this.#greetAgain(),
    });
    return this.#queue.start();
  }

  /** What was posted before has reached the broker then. */
  async stop(): Promise<void> {
    this.#unlisten?.();
    this.#unlisten = undefined;
    await this.#queue.stop();
  }

  post(notice: Notice): boolean {
    const { connection } = this.#options;
    // A broker that holds us back reads nothing: what is written would only pile up here.
    if (connection.blockedReason !== undefined) return false;
    return this.#queue.withChannel((channel) => this.#publish(channel, notice));
  }

  #greetAgain(): void {
    if (!this.#queue.isReceiving) return;
    for (const notice of this.#options.greeting()) this.post(notice);
  }

  async #bind(channel: Channel, queue: string): Promise<void> {
    const { connection, exchange, topics, greeting } = this.#options;
    const open = connection.current;
    this.#exchanges.forget();
    const verdict = open && (await this.#exchanges.ensure(exchange, open));
    this.#refusal = verdict?.kind === 'refused' ? verdict.reason : undefined;
    // Fails with the broker's code, unless somebody has made it meanwhile.
    if (this.#refusal !== undefined) await channel.checkExchange(exchange);
    this.#refusal = undefined;
    for (const topic of topics) await channel.bindQueue(queue, exchange, topic);
    // Before the consume that follows: a user who may not publish hears of it by that, and not of a channel that closes
    // each time that something is said.
    for (const notice of greeting()) this.#publish(channel, notice);
  }

  #publish(channel: Channel, { topic, body }: Notice): void {
    const { exchange, ttlMs } = this.#options;
    const content = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    channel.publish(exchange, topic, content, { contentType: 'application/json', expiration: String(ttlMs) });
  }
}
