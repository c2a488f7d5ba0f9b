import type { MessageProperties } from '../message/message.ts';
import type { Delivery } from '../message/subscriber.ts';
import type { IncomingMessage } from './frames/content.ts';

/** What a delivery is settled on: the channel that brought it, and no other. */
export interface DeliverySource {
  readonly queue: string;
  readonly lost: AbortSignal;
  /** @returns false when the delivery was settled before, or the channel has gone */
  ack(tag: number): boolean;
  release(tag: number): boolean;
}

/** A message of `basic.deliver` or `basic.get`. */
export class BrokerDelivery implements Delivery {
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
  readonly body: Buffer;
  readonly properties: MessageProperties;
  readonly #source: DeliverySource;
  readonly #tag: number;

  constructor(source: DeliverySource, message: IncomingMessage) {
    this.exchange = message.exchange;
    this.routingKey = message.routingKey;
    this.redelivered = message.redelivered;
    this.body = message.body;
    this.properties = message.properties;
    this.#source = source;
    this.#tag = message.deliveryTag;
  }

  get queue(): string {
    return this.#source.queue;
  }

  get lost(): AbortSignal {
    return this.#source.lost;
  }

  ack(): boolean {
    return this.#source.ack(this.#tag);
  }

  release(): boolean {
    return this.#source.release(this.#tag);
  }
}
