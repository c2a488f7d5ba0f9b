import { randomBytes } from 'node:crypto';
import type { Channel } from './channel.ts';
import { isReplyName } from './direct-replies.ts';
import { bind, unbind } from './exchange-methods.ts';
import { FIELD_TYPE_NAMES, type FieldTable } from './field-table.ts';
import type { MethodHandlers } from './method-handlers.ts';
import type { MethodArguments } from './method-table.ts';
import { cleanName, refuseDefaultExchange, refuseReservedName, requireSame, requireSameArguments } from './names.ts';
import { ProtocolError } from './protocol-error.ts';
import type { Queue } from './queue.ts';
import { ARGUMENTS_OF, moduleOf, queueTypeOf, resolveQueueArguments } from './queue-arguments.ts';
import type { QueueDefinition } from './queue-definition.ts';
import { described } from './virtual-host.ts';

/** `queue.*`. */
export const QUEUE_METHODS = {
  'queue.declare'(channel, args) {
    const name = cleanName(args.queue);
    if (isReplyName(name)) return declareReplyQueue(channel, name, args.nowait);
    const queue = args.passive ? findPassively(channel, name) : declare(channel, name, args);
    channel.lastQueue = queue.name;
    if (args.nowait) return;
    channel.reply('queue.declare-ok', {
      queue: queue.name,
      messageCount: queue.ready.length,
      consumerCount: queue.rota.size,
    });
  },

  'queue.bind'(channel, args) {
    const { name, routingKey } = withShortcuts(channel, args);
    refuseDefaultExchange(cleanName(args.exchange));
    // Of two that are missing RabbitMQ names the exchange.
    channel.link.vhost.exchange(cleanName(args.exchange));
    bind(channel, args.exchange, { kind: 'queue', queue: usableQueue(channel, name) }, routingKey, args.arguments);
    if (!args.nowait) channel.reply('queue.bind-ok', {});
  },

  'queue.unbind'(channel, args) {
    const { name, routingKey } = withShortcuts(channel, args);
    refuseDefaultExchange(cleanName(args.exchange));
    const queue = channel.link.vhost.queues.get(name);
    if (queue) {
      const destination = { kind: 'queue', queue } as const;
      // RabbitMQ lets anybody unbind what is not bound.
      unbind(channel, args.exchange, destination, routingKey, args.arguments, () => requireAccess(channel, queue));
    }
    channel.reply('queue.unbind-ok', {});
  },

  'queue.purge'(channel, args) {
    const messageCount = usableQueue(channel, queueName(channel, args.queue)).purge();
    if (!args.nowait) channel.reply('queue.purge-ok', { messageCount });
  },

  'queue.delete'(channel, args) {
    const name = cleanName(queueName(channel, args.queue));
    const queue = channel.link.vhost.queues.get(name);
    const messageCount = queue ? remove(channel, queue, args) : 0;
    if (!args.nowait) channel.reply('queue.delete-ok', { messageCount });
  },
} as const satisfies MethodHandlers;

/** @throws ProtocolError 404 for an empty name when no queue was declared on this channel */
export function queueName(channel: Channel, name: string): string {
  if (name !== '') return name;
  if (channel.lastQueue === undefined) throw new ProtocolError('NOT_FOUND', 'no previously declared queue');
  return channel.lastQueue;
}

/** @throws ProtocolError 404 without such a queue, 405 when it is another connection's own */
export function usableQueue(channel: Channel, name: string): Queue {
  const queue = channel.link.vhost.queue(name);
  requireAccess(channel, queue);
  return queue;
}

function requireAccess(channel: Channel, queue: Queue): void {
  const { owner } = queue.definition;
  if (owner !== undefined && owner !== channel.link) throw locked(queue.name);
}

const locked = (name: string): ProtocolError =>
  new ProtocolError(
    'RESOURCE_LOCKED',
    `cannot obtain exclusive access to locked ${described('queue', name)}. It could be originally declared on ` +
      'another connection or the exclusive property value does not match that of the original declaration.',
  );

function withShortcuts(channel: Channel, args: { readonly queue: string; readonly routingKey: string }) {
  const name = cleanName(queueName(channel, args.queue));
  return { name, routingKey: args.queue === '' && args.routingKey === '' ? name : args.routingKey };
}

/** Every declare of the pseudo-queues is passive; they have one consumer by definition. */
function declareReplyQueue(channel: Channel, name: string, isNoWait: boolean): void {
  if (!channel.link.replies.exists(name)) throw new ProtocolError('NOT_FOUND', `no ${described('queue', name)}`);
  if (!isNoWait) channel.reply('queue.declare-ok', { queue: name, messageCount: 0, consumerCount: 1 });
}

function findPassively(channel: Channel, name: string): Queue {
  const queue = usableQueue(channel, name);
  queue.used();
  return queue;
}

function declare(channel: Channel, given: string, args: MethodArguments<'queue.declare'>): Queue {
  const { vhost } = channel.link;
  // RabbitMQ keeps no exclusive queue over a restart, so it counts none as durable.
  const isDurable = args.durable && !args.exclusive;
  const name = given === '' ? generatedName(args.arguments) : given;
  const existing = vhost.queues.get(name);
  if (existing) {
    requireEquivalent(channel, existing, isDurable, args);
    existing.used();
    return existing;
  }
  if (given !== '') refuseReservedName('queue', name);
  checkDeadLetterExchange(name, args.arguments);
  const definition: QueueDefinition = {
    name,
    isDurable,
    isAutoDelete: args.autoDelete,
    owner: args.exclusive ? channel.link : undefined,
    arguments: args.arguments,
    settings: resolveQueueArguments(args.arguments, described('queue', name)),
  };
  if (definition.settings.type === 'quorum') refuseForQuorum(definition);
  return vhost.addQueue(definition);
}

function generatedName(args: FieldTable): string {
  const type = queueTypeOf(args, 'queue');
  if (type === 'classic') return `amq.gen-${randomBytes(16).toString('base64url')}`;
  throw new ProtocolError('PRECONDITION_FAILED', `Cannot declare a server-named queue for type ${moduleOf(type)}`);
}

function requireEquivalent(
  channel: Channel,
  { name, definition }: Queue,
  isDurable: boolean,
  args: MethodArguments<'queue.declare'>,
): void {
  if (definition.owner !== (args.exclusive ? channel.link : undefined)) throw locked(name);
  requireSame('queue', name, 'durable', definition.isDurable, isDurable);
  requireSame('queue', name, 'auto_delete', definition.isAutoDelete, args.autoDelete);
  requireSameArguments('queue', name, ARGUMENTS_OF[definition.settings.type], definition.arguments, args.arguments);
}

function checkDeadLetterExchange(name: string, args: FieldTable): void {
  const field = args.get('x-dead-letter-exchange');
  if (!field || field.type === 'S') return;
  throw new ProtocolError(
    'PRECONDITION_FAILED',
    `invalid type '${FIELD_TYPE_NAMES[field.type]}' for arg 'x-dead-letter-exchange' in ${described('queue', name)}`,
  );
}

function refuseForQuorum({ name, isAutoDelete, isDurable, owner }: QueueDefinition): void {
  const wrong = isAutoDelete
    ? 'auto-delete'
    : owner !== undefined
      ? 'exclusive-owner'
      : isDurable
        ? undefined
        : 'non-durable';
  if (wrong === undefined) return;
  throw new ProtocolError('PRECONDITION_FAILED', `invalid property '${wrong}' for ${described('queue', name)}`);
}

function remove(channel: Channel, queue: Queue, args: MethodArguments<'queue.delete'>): number {
  requireAccess(channel, queue);
  const what = described('queue', queue.name);
  if (queue.isQuorum && (args.ifUnused || args.ifEmpty)) {
    const option = args.ifUnused ? 'if-unused' : 'if-empty';
    throw new ProtocolError(
      'NOT_IMPLEMENTED',
      `cannot delete ${what}. queue.delete operations with ${option} flag set are not supported by quorum queues`,
    );
  }
  if (args.ifUnused && queue.rota.size > 0) throw new ProtocolError('PRECONDITION_FAILED', `${what} in use`);
  if (args.ifEmpty && queue.ready.length > 0) throw new ProtocolError('PRECONDITION_FAILED', `${what} not empty`);
  return channel.link.vhost.deleteQueue(queue);
}
