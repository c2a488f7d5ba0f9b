import { randomBytes } from 'node:crypto';
import type { Channel } from './channel.ts';
import { Consumer } from './consumer.ts';
import { REPLY_TO } from './direct-replies.ts';
import { FIELD_TYPE_NAMES, type FieldTable } from './field-table.ts';
import { integerOf } from './fields.ts';
import type { MethodHandlers } from './method-handlers.ts';
import type { MethodArguments } from './method-table.ts';
import { ProtocolError } from './protocol-error.ts';
import { moduleOf, type QueueType } from './queue-arguments.ts';
import { queueName, usableQueue } from './queue-methods.ts';
import { described } from './virtual-host.ts';

/** `basic.*`, but for `basic.publish`, which has content. */
export const BASIC_METHODS = {
  'basic.qos'(channel, { prefetchSize, prefetchCount, global }) {
    if (prefetchSize !== 0) throw new ProtocolError('NOT_IMPLEMENTED', `prefetch_size!=0 (${prefetchSize})`);
    if (!global) channel.prefetch = prefetchCount;
    channel.deliveries.setLimit(global ? prefetchCount : 0);
    channel.reply('basic.qos-ok', {});
    channel.relieveAll();
  },

  'basic.consume'(channel, args) {
    const tag = args.consumerTag === '' ? `amq.ctag-${randomBytes(16).toString('base64url')}` : args.consumerTag;
    if (channel.consumers.has(tag) || channel.replyConsumer?.tag === tag) {
      throw new ProtocolError('NOT_ALLOWED', `attempt to reuse consumer tag '${tag}'`);
    }
    const name = queueName(channel, args.queue);
    if (name === REPLY_TO) return consumeReplies(channel, tag, args);
    const consumer = createConsumer(channel, tag, name, args);
    channel.consumers.set(tag, consumer);
    if (!args.nowait) channel.reply('basic.consume-ok', { consumerTag: tag });
    consumer.options.queue.addConsumer(consumer);
  },

  'basic.cancel'(channel, { consumerTag, nowait }) {
    const consumer = channel.consumers.get(consumerTag);
    if (consumer) {
      channel.consumers.delete(consumerTag);
      consumer.options.queue.removeConsumer(consumer);
    } else if (channel.replyConsumer?.tag === consumerTag) {
      channel.link.replies.remove(channel.replyConsumer.name);
      channel.replyConsumer = undefined;
    }
    if (!nowait) channel.reply('basic.cancel-ok', { consumerTag });
  },

  'basic.get'(channel, { queue: given, noAck }) {
    const queue = usableQueue(channel, queueName(channel, given));
    if (queue.isQuorum && queue.definition.settings.isSingleActiveConsumer) {
      throw new ProtocolError(
        'RESOURCE_LOCKED',
        `cannot obtain access to locked ${described('queue', queue.name)}. basic.get operations are not supported by ` +
          'quorum queues with single active consumer',
      );
    }
    const entry = queue.take();
    if (!entry) return channel.reply('basic.get-empty', { reserved1: '' });
    channel.got(queue, entry, noAck);
  },

  'basic.ack'(channel, { deliveryTag, multiple }) {
    channel.settle(deliveryTag, multiple, 'ack');
  },

  'basic.reject'(channel, { deliveryTag, requeue }) {
    channel.settle(deliveryTag, false, requeue ? 'requeue' : 'reject');
  },

  'basic.nack'(channel, { deliveryTag, multiple, requeue }) {
    channel.settle(deliveryTag, multiple, requeue ? 'requeue' : 'reject');
  },

  'basic.recover'(channel, { requeue }) {
    if (requeue) channel.reply('basic.recover-ok', {});
    recover(channel, requeue);
  },

  'basic.recover-async'(channel, { requeue }) {
    recover(channel, requeue);
  },
} as const satisfies MethodHandlers;

function consumeReplies(channel: Channel, tag: string, { noAck, nowait }: MethodArguments<'basic.consume'>): void {
  if (!noAck) throw new ProtocolError('PRECONDITION_FAILED', 'reply consumer cannot acknowledge');
  if (channel.replyConsumer) throw new ProtocolError('PRECONDITION_FAILED', 'reply consumer already set');
  channel.replyConsumer = { tag, name: channel.link.replies.add(channel) };
  if (!nowait) channel.reply('basic.consume-ok', { consumerTag: tag });
}

function createConsumer(channel: Channel, tag: string, name: string, args: MethodArguments<'basic.consume'>): Consumer {
  const queue = usableQueue(channel, name);
  const what = described('queue', name);
  checkConsumeArguments(queue.definition.settings.type, args.arguments, what);
  if (queue.isQuorum && channel.deliveries.hasLimit) {
    throw new ProtocolError('NOT_IMPLEMENTED', `${what} does not support global qos`);
  }
  const isAlone = queue.rota.size === 0 && !queue.definition.settings.isSingleActiveConsumer;
  if (queue.rota.isExclusivelyUsed || (args.exclusive && !isAlone)) {
    throw new ProtocolError('ACCESS_REFUSED', `${what} in exclusive use`);
  }
  return new Consumer({
    tag,
    queue,
    target: channel,
    isNoAck: args.noAck,
    isExclusive: args.exclusive,
    priority: integerOf(args.arguments.get('x-priority')) ?? 0,
    prefetch: channel.prefetch,
    arguments: args.arguments,
  });
}

/** Arguments that another type of queue would know: RabbitMQ refuses those, and ignores what it does not know at all. */
const FOREIGN_ARGUMENTS: Readonly<Record<QueueType, readonly string[]>> = Object.freeze({
  classic: ['x-stream-offset'],
  quorum: ['x-stream-offset', 'x-cancel-on-ha-failover'],
});

function checkConsumeArguments(queueType: QueueType, args: FieldTable, what: string): void {
  const foreign = FOREIGN_ARGUMENTS[queueType].find((name) => args.has(name));
  if (foreign !== undefined) {
    const text = `invalid arg '${foreign}' for ${what} of queue type ${moduleOf(queueType)}`;
    throw new ProtocolError('PRECONDITION_FAILED', text);
  }
  const refuse = (name: string, why: string) =>
    new ProtocolError('PRECONDITION_FAILED', `invalid arg '${name}' for ${what}: ${why}`);
  const priority = args.get('x-priority');
  if (priority && integerOf(priority) === undefined) {
    throw refuse('x-priority', `"expected integer, got ${FIELD_TYPE_NAMES[priority.type]}"`);
  }
  const failover = args.get('x-cancel-on-ha-failover');
  if (failover && failover.type !== 't') {
    throw refuse('x-cancel-on-ha-failover', `{unacceptable_type,${FIELD_TYPE_NAMES[failover.type]}}`);
  }
}

function recover(channel: Channel, isRequeue: boolean): void {
  if (!isRequeue) throw new ProtocolError('NOT_IMPLEMENTED', 'requeue=false');
  const { deliveries } = channel;
  channel.relieve(deliveries.settle(deliveries.unacked.takeAll(), 'requeue'));
}
