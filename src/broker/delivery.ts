import type { Message } from 'amqplib';
import type { MessageProperties } from '../message/message.ts';
import type { Delivery } from '../message/subscriber.ts';
import { plainHeaders } from './plain-headers.ts';

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

  constructor(source: DeliverySource, { fields, content, properties }: Message) {
    this.exchange = fields.exchange;
    this.routingKey = fields.routingKey;
    this.redelivered = fields.redelivered;
    this.body = content;
    const headers = plainHeaders(properties.headers);
    this.properties = headers === properties.headers ? properties : { ...properties, headers };
    this.#source = source;
    this.#tag = fields.deliveryTag;
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
