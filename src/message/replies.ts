import type { Delivery } from './subscriber.ts';

/** An answer as it came: nothing of it is to be settled. */
export type Reply = Pick<Delivery, 'body' | 'properties'>;

/** Who waits for answers. */
export interface ReplyListener {
  /** Must not throw. */
  onReply(reply: Reply): void;
  /** What was sent until now gets no answer any more: its way back is gone. */
  onLost(): void;
}

/** AMQP `reply_to` of what is answered on the channel that it was sent on (RabbitMQ's direct reply-to). */
export const DIRECT_REPLY_TO = 'amq.rabbitmq.reply-to';

/** Whether a routing key of the default exchange is such a way back, and no queue. */
export const isDirectReply = (exchange: string, routingKey: string): boolean =>
  exchange === '' && routingKey.startsWith(`${DIRECT_REPLY_TO}.`);
