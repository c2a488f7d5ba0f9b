import type { Logger } from '../lifecycle/logger.ts';
import type { Service, ServiceState } from '../lifecycle/service.ts';
import type { ReplyListener } from '../message/replies.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import type { BrokerConnection } from './connection.ts';
import { TemporaryQueue } from './temporary-queue.ts';

export interface ReplyQueueOptions {
  readonly connection: BrokerConnection;
  /** Of this instance alone; it deletes itself with its queue, and that goes with the connection. */
  readonly exchange: string;
  readonly onReply: ReplyListener['onReply'];
  readonly logger: Logger;
}

/**
 * The way back for callees that answer by a message to an exchange: a topic exchange of our own, bound with `#` to a
 * temporary queue. Nothing is acked: whoever waits, waits in memory. `start` resolves also when it may not receive:
 * there is another way back.
 */
export class ReplyQueue implements Service {
  readonly name: string;
  readonly #exchange: string;
  readonly #queue: TemporaryQueue;

  constructor({ connection, exchange, onReply, logger }: ReplyQueueOptions) {
    this.name = `replies to ${exchange}`;
    this.#exchange = exchange;
    this.#queue = new TemporaryQueue({
      connection,
      name: this.name,
      bind: async (channel, queue) => {
        await channel.assertExchange(exchange, 'topic', { durable: false, autoDelete: true });
        await channel.bindQueue(queue, exchange, '#');
      },
      onMessage: ({ content, properties }) => onReply({ body: content, properties }),
      onRefused: (error) => {
        const isForbidden = replyCode(error) === REPLY.accessRefused;
        if (isForbidden) logger.warn({ exchange, error: brokerText(error) }, 'answers by message cannot be received');
        return !isForbidden;
      },
      logger,
    });
  }

  get state(): ServiceState {
    return this.#queue.state;
  }

  /** Where answers can be sent to at the moment. */
  get address(): string | undefined {
    return this.#queue.isReceiving ? this.#exchange : undefined;
  }

  start(): Promise<void> {
    return this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }
}
