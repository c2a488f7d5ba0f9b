import type { ChannelLink } from './channel-link.ts';
import { publishingHost } from './channel-publishing.ts';
import { ChannelWriter } from './channel-writer.ts';
import type { Consumer, DeliveryTarget } from './consumer.ts';
import { ContentAssembler, type Publication } from './content-assembler.ts';
import { Deliveries, type Verdict } from './deliveries.ts';
import type { ReplyTarget } from './direct-replies.ts';
import { FRAME } from './frame.ts';
import type { Message } from './message.ts';
import { methodId, readMethod } from './method-codec.ts';
import { callMethod } from './method-handlers.ts';
import type { MethodArguments, MethodName } from './method-table.ts';
import { type MethodNumbers, NO_METHOD, ProtocolError } from './protocol-error.ts';
import { Publishing } from './publishing.ts';
import type { Queue } from './queue.ts';
import type { QueuedMessage } from './queued-message.ts';
import { relieveByTurns } from './turns.ts';
import type { Unacked } from './unacked-messages.ts';

export interface ReplyConsumer {
  readonly tag: string;
  readonly name: string;
}

/**
 * A channel.
 *
 *   starting ──channel.open──▶ open ──error──▶ closing ──close-ok──▶ closed
 *                                └───────channel.close──────────────────▲
 */
type ChannelState = 'starting' | 'open' | 'closing' | 'closed';
const MOVES: Readonly<Record<ChannelState, readonly ChannelState[]>> = Object.freeze({
  starting: ['open', 'closed'],
  open: ['closing', 'closed'],
  closing: ['closed'],
  closed: [],
});

const secondOpen = (): ProtocolError =>
  new ProtocolError('CHANNEL_ERROR', "second 'channel.open' seen", { at: methodId('channel.open') });

export class Channel implements DeliveryTarget, ReplyTarget {
  readonly number: number;
  readonly link: ChannelLink;
  readonly consumers = new Map<string, Consumer>();
  readonly deliveries = new Deliveries();
  readonly publishing: Publishing;
  readonly #writer: ChannelWriter;
  readonly #content = new ContentAssembler();
  #state: ChannelState = 'starting';
  #parkings = 0;
  /** The method that is being worked on: errors quote it. */
  #method: MethodName | undefined;
  /** For consumers that come (`basic.qos` without global). */
  prefetch = 0;
  replyConsumer: ReplyConsumer | undefined;
  /** What an empty queue name stands for. */
  lastQueue: string | undefined;

  constructor(number: number, link: ChannelLink) {
    this.number = number;
    this.link = link;
    this.#writer = new ChannelWriter(number, link.output);
    this.publishing = new Publishing(publishingHost(this, this.#writer));
  }

  get state(): ChannelState {
    return this.#state;
  }

  #move(to: ChannelState): void {
    if (!MOVES[this.#state].includes(to)) {
      throw new ProtocolError('CHANNEL_ERROR', `channel ${this.number} cannot go from ${this.#state} to ${to}`);
    }
    this.#state = to;
  }

  // ------------------------------------------------------------------------------------------------- frames come

  /** @throws ProtocolError what the client did wrong */
  receive(type: number, payload: Buffer): void {
    if (this.#state === 'closing') {
      this.#receiveClosing(type, payload);
      return;
    }
    this.#method = this.#content.isWaiting ? 'basic.publish' : undefined;
    if (type === FRAME.method) {
      this.#receiveMethod(payload);
      return;
    }
    const publication = type === FRAME.header ? this.#content.header(payload) : this.#content.body(payload);
    if (!publication) return;
    this.#method = 'basic.publish';
    this.#requireOpen();
    this.#publish(publication);
  }

  #receiveMethod(payload: Buffer): void {
    this.#content.expectMethod();
    const method = readMethod(payload);
    this.#method = method.name;
    if (method.name === 'basic.publish') {
      this.#content.begin(method.args);
      return;
    }
    if (method.name === 'channel.open') {
      this.#open();
      return;
    }
    this.#requireOpen();
    if (method.name === 'channel.close') {
      this.#closedByClient();
      return;
    }
    callMethod(this, method);
  }

  #receiveClosing(type: number, payload: Buffer): void {
    if (type !== FRAME.method) return;
    const method = readMethod(payload);
    if (method.name === 'channel.open') throw secondOpen();
    if (method.name === 'channel.close') this.reply('channel.close-ok', {});
    if (method.name !== 'channel.close-ok') return;
    this.#move('closed');
    this.link.closed(this);
  }

  #open(): void {
    if (this.#state !== 'starting') throw secondOpen();
    this.#move('open');
    this.reply('channel.open-ok', { reserved1: '' });
  }

  #requireOpen(): void {
    if (this.#state !== 'open') throw new ProtocolError('CHANNEL_ERROR', "expected 'channel.open'");
  }

  #publish(publication: Publication): void {
    this.link.published();
    this.publishing.publish(publication);
  }

  #closedByClient(): void {
    this.flush();
    this.#move('closed');
    this.giveUp();
    this.reply('channel.close-ok', {});
    this.link.closed(this);
  }

  /** The client broke a rule: its channel ends, the connection goes on. */
  fail(error: ProtocolError): void {
    this.flush();
    this.#move('closing');
    this.giveUp();
    this.reply('channel.close', { replyCode: error.replyCode, replyText: error.replyText, ...this.methodId });
  }

  /** Numbers of the method that is being worked on, for close methods. */
  get methodId(): MethodNumbers {
    return this.#method ? methodId(this.#method) : NO_METHOD;
  }

  reply<Name extends MethodName>(name: Name, args: MethodArguments<Name>): void {
    this.#writer.method(name, args);
  }

  // ------------------------------------------------------------------------------------------------- messages go

  canTake(): boolean {
    return this.#state === 'open' && this.deliveries.hasRoom && this.link.output.isWritable;
  }

  nextParking(): number {
    return this.#parkings++;
  }

  deliver(consumer: Consumer, entry: QueuedMessage): void {
    const { tag, queue, isNoAck } = consumer.options;
    this.#writer.deliver(tag, this.deliveries.add(queue, entry, consumer, isNoAck), queue, entry);
  }

  /** Answers `basic.get`. */
  got(queue: Queue, entry: QueuedMessage, isNoAck: boolean): void {
    this.#writer.getOk(this.deliveries.add(queue, entry, undefined, isNoAck), queue, entry);
    if (isNoAck) queue.settled(entry);
  }

  deliverReply(message: Message): void {
    if (!this.replyConsumer || this.#state !== 'open') return;
    this.#writer.deliverReply(this.replyConsumer.tag, this.deliveries.nextTag(), message);
  }

  cancelled(consumer: Consumer): void {
    const { tag: consumerTag } = consumer.options;
    this.consumers.delete(consumerTag);
    if (!this.link.cancelsConsumers) return;
    // After the reply to who deleted the queue, as in RabbitMQ.
    queueMicrotask(() => {
      if (this.#state === 'open') this.reply('basic.cancel', { consumerTag, nowait: true });
    });
  }

  /** Sends the confirms that were gathered. */
  flush(): void {
    if (this.#state === 'open') this.publishing.flush();
  }

  // ---------------------------------------------------------------------------------------------------- settling

  settle(deliveryTag: number, isMultiple: boolean, verdict: Verdict): void {
    const taken = this.deliveries.take(deliveryTag, isMultiple);
    if (this.publishing.postpone(taken, verdict)) return;
    this.relieve(this.deliveries.settle(taken, verdict));
  }

  /** These consumers may have room again; with a prefetch of the channel all of them may. */
  relieve(consumers: Iterable<Consumer>): void {
    if (this.deliveries.hasLimit) relieveByTurns(this.consumers.values(), () => this.deliveries.hasRoom);
    else for (const consumer of consumers) consumer.options.queue.roomFor(consumer);
  }

  /** The socket, a prefetch or the flow has room again. */
  relieveAll(): void {
    this.relieve([...this.consumers.values()]);
  }

  /** Deliveries that the client may still give back, those of an open transaction too. */
  unsettled(): readonly Unacked[] {
    return [...this.deliveries.unacked, ...this.publishing.postponed];
  }

  // ------------------------------------------------------------------------------------------------------- the end

  /** The connection is gone. First step for all its channels, so that none gets what another gives back. */
  cut(): void {
    if (this.#state !== 'closed') this.#state = 'closed';
  }

  /**
   * Gives everything back, then takes its consumers away: in this order, since a queue dispatches when a consumer
   * goes, and what comes back must be in its place by then.
   */
  giveUp(): void {
    if (this.replyConsumer) this.link.replies.remove(this.replyConsumer.name);
    this.replyConsumer = undefined;
    this.deliveries.unacked.restore(this.publishing.abandon());
    const refilled: ReadonlySet<Queue> = this.deliveries.giveBackAll();
    for (const consumer of [...this.consumers.values()]) consumer.options.queue.removeConsumer(consumer);
    this.consumers.clear();
    for (const queue of refilled) queue.dispatch();
  }
}
