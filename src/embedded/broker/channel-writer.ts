import { withDeliveryCount } from './delivery-count.ts';
import type { Message } from './message.ts';
import type { MethodArguments, MethodName } from './method-table.ts';
import type { Output } from './output.ts';
import { REPLY_CODES } from './protocol-error.ts';
import type { Queue } from './queue.ts';
import type { QueuedMessage } from './queued-message.ts';

/** What a channel says to its client. */
export class ChannelWriter {
  readonly #number: number;
  readonly #output: Output;

  constructor(number: number, output: Output) {
    this.#number = number;
    this.#output = output;
  }

  method<Name extends MethodName>(name: Name, args: MethodArguments<Name>): void {
    this.#output.method(this.#number, name, args);
  }

  deliver(consumerTag: string, deliveryTag: number, queue: Queue, entry: QueuedMessage): void {
    const { exchange, routingKey } = entry.message;
    const args = { consumerTag, deliveryTag, redelivered: entry.isRedelivered, exchange, routingKey };
    this.#output.message(
      this.#number,
      'basic.deliver',
      args,
      entry.returns > 0 ? counted(queue, entry) : entry.message,
    );
  }

  /** A direct reply, which no queue ever held. */
  deliverReply(consumerTag: string, deliveryTag: number, message: Message): void {
    const { exchange, routingKey } = message;
    const args = { consumerTag, deliveryTag, redelivered: false, exchange, routingKey };
    this.#output.message(this.#number, 'basic.deliver', args, message);
  }

  getOk(deliveryTag: number, queue: Queue, entry: QueuedMessage): void {
    const { exchange, routingKey } = entry.message;
    const messageCount = queue.ready.length;
    const args = { deliveryTag, redelivered: entry.isRedelivered, exchange, routingKey, messageCount };
    this.#output.message(this.#number, 'basic.get-ok', args, counted(queue, entry));
  }

  returned(message: Message): void {
    const { exchange, routingKey } = message;
    const args = { replyCode: REPLY_CODES.NO_ROUTE, replyText: 'NO_ROUTE', exchange, routingKey };
    this.#output.message(this.#number, 'basic.return', args, message);
  }
}

/** Quorum queues say how often a message came back: at `basic.get` always, to consumers only when it did. */
function counted(queue: Queue, { message, returns }: QueuedMessage): Pick<Message, 'body' | 'encodedProperties'> {
  if (!queue.isQuorum) return message;
  return { body: message.body, encodedProperties: withDeliveryCount(message.encodedProperties, returns) };
}
