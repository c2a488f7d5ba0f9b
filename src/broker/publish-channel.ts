import type { ConfirmChannel } from 'amqplib';
import type { PublishOutcome } from '../message/publisher.ts';
import { DIRECT_REPLY_TO, type ReplyListener } from '../message/replies.ts';
import { answered, closeChannel } from './channels.ts';
import { ConfirmWindow } from './confirm-window.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';
import { type ChannelFrames, ConnectionFrames } from './frames/connection-frames.ts';
import type { IncomingMessage } from './frames/content.ts';
import { CONFIRMED, type PublishEntry, refused, unroutable } from './publish-entry.ts';

export interface PublishChannelEvents {
  /** The entry has left the window. */
  onOutcome(entry: PublishEntry, outcome: PublishOutcome): void;
  /**
   * Once, unless discarded. `error` is the broker's, undefined when the connection went.
   * @param unconfirmed in the order sent
   */
  onClosed(unconfirmed: readonly PublishEntry[], error: Error | undefined): void;
}

/** One confirm channel and what is unconfirmed on it, and the way back of answers when somebody waits for them. */
export class PublishChannel {
  readonly epoch: number;
  readonly #channel: ConfirmChannel;
  readonly #window = new ConfirmWindow<PublishEntry>();
  readonly #frames: ChannelFrames;
  readonly #events: PublishChannelEvents;
  #error: Error | undefined;
  #isDiscarded = false;
  #replies: ReplyListener | undefined;

  static async open(
    connection: BrokerConnection,
    open: OpenConnection,
    events: PublishChannelEvents,
    replies?: ReplyListener,
  ): Promise<PublishChannel> {
    const opening = open.model.createConfirmChannel();
    try {
      const channel = await answered(connection, open, opening);
      const publishing = new PublishChannel(channel, open, events);
      if (replies) await answered(connection, open, publishing.#receive(replies));
      return publishing;
    } catch (error) {
      opening.then(closeChannel).catch(() => undefined);
      throw error;
    }
  }

  private constructor(channel: ConfirmChannel, { epoch, model }: OpenConnection, events: PublishChannelEvents) {
    this.epoch = epoch;
    this.#channel = channel;
    this.#events = events;
    channel.on('error', (error: Error) => {
      this.#error = error;
    });
    channel.on('close', () => {
      this.#loseReplies();
      if (!this.#isDiscarded) events.onClosed(this.#window.entries(), this.#error);
    });
    this.#frames = ConnectionFrames.of(model).channel(channel, {
      onConfirm: (tag, isMultiple, isAck) => {
        // Until its close is answered more may come: all of it has an outcome already.
        if (!this.#isDiscarded) this.#window.confirm(tag, isMultiple, isAck ? this.#onAck : this.#onNack);
      },
      // RabbitMQ sends the return before the ack, on this channel.
      onReturn: (message) => this.#onReturn(message),
      onDelivery: ({ body, properties }) => this.#replies?.onReply({ body, properties }),
    });
  }

  /** How many wait for their confirm. */
  get size(): number {
    return this.#window.size;
  }

  get unconfirmed(): readonly PublishEntry[] {
    return this.#window.entries();
  }

  /** Throws, with nothing sent, when the properties cannot be encoded. */
  send(entry: PublishEntry): void {
    this.#frames.publish(entry.message);
    entry.isSent = true;
    this.#window.push(entry);
  }

  /** Closes it without another word. @returns what was unconfirmed */
  discard(): readonly PublishEntry[] {
    this.#isDiscarded = true;
    this.#loseReplies();
    this.#frames.flush();
    // Whether the close is answered is of no interest: the channel goes with the connection at the latest.
    new Promise((resolve) => resolve(closeChannel(this.#channel))).catch(() => undefined);
    return this.#window.entries();
  }

  /** Before the first publish: RabbitMQ takes `reply_to` only on a channel that receives. */
  async #receive(replies: ReplyListener): Promise<void> {
    this.#replies = replies;
    await this.#channel.consume(DIRECT_REPLY_TO, () => undefined, { noAck: true });
  }

  #loseReplies(): void {
    const replies = this.#replies;
    this.#replies = undefined;
    replies?.onLost();
  }

  readonly #onAck = (entry: PublishEntry) =>
    this.#events.onOutcome(entry, entry.isReturned ? unroutable(entry) : CONFIRMED);

  readonly #onNack = (entry: PublishEntry) =>
    this.#events.onOutcome(entry, refused(entry, 'negative confirm: its queue is full or has failed'));

  #onReturn({ properties, exchange, routingKey }: IncomingMessage): void {
    const entry = this.#window.findReturned(
      ({ isReturned, message }) =>
        !isReturned &&
        message.messageId === properties.messageId &&
        message.routingKey === routingKey &&
        message.exchange === exchange,
    );
    if (entry) entry.isReturned = true;
  }
}
