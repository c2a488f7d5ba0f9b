import type { Binding, Destination } from './binding.ts';
import type { Channel } from './channel.ts';
import { isExchangeType } from './exchange-type.ts';
import { FIELD_TYPE_NAMES, type FieldTable } from './field-table.ts';
import { checkMatchArguments } from './headers-match.ts';
import type { MethodHandlers } from './method-handlers.ts';
import type { MethodArguments } from './method-table.ts';
import { cleanName, refuseDefaultExchange, refuseReservedName, requireSame, requireSameArguments } from './names.ts';
import { ProtocolError } from './protocol-error.ts';
import { described } from './virtual-host.ts';

/** `exchange.*`, and the binding of anything to an exchange. */
export const EXCHANGE_METHODS = {
  'exchange.declare'(channel, args) {
    const name = cleanName(args.exchange);
    if (args.passive) {
      refuseDefaultExchange(name);
      channel.link.vhost.exchange(name);
    } else declare(channel, name, args);
    if (!args.nowait) channel.reply('exchange.declare-ok', {});
  },

  'exchange.delete'(channel, args) {
    const name = cleanName(args.exchange);
    refuseDefaultExchange(name);
    if (name.startsWith('amq.')) {
      throw new ProtocolError('ACCESS_REFUSED', `deletion of system ${described('exchange', name)} not allowed`);
    }
    const { vhost } = channel.link;
    const exchange = vhost.exchanges.get(name);
    if (exchange && args.ifUnused && exchange.isUsed) {
      throw new ProtocolError('PRECONDITION_FAILED', `${described('exchange', name)} in use`);
    }
    if (exchange) vhost.deleteExchange(exchange);
    if (!args.nowait) channel.reply('exchange.delete-ok', {});
  },

  'exchange.bind'(channel, args) {
    const destination = exchangeDestination(channel, args.source, args.destination);
    bind(channel, args.source, destination, args.routingKey, args.arguments);
    if (!args.nowait) channel.reply('exchange.bind-ok', {});
  },

  'exchange.unbind'(channel, args) {
    const { vhost } = channel.link;
    refuseDefaultExchange(cleanName(args.source));
    const exchange = vhost.exchanges.get(cleanName(args.destination));
    refuseDefaultExchange(cleanName(args.destination));
    if (exchange) unbind(channel, args.source, { kind: 'exchange', exchange }, args.routingKey, args.arguments);
    if (!args.nowait) channel.reply('exchange.unbind-ok', {});
  },
} as const satisfies MethodHandlers;

function declare(channel: Channel, name: string, args: MethodArguments<'exchange.declare'>): void {
  const { type, durable, autoDelete, internal } = args;
  if (!isExchangeType(type)) {
    throw new ProtocolError('COMMAND_INVALID', `${type === '' ? 'invalid' : 'unknown'} exchange type '${type}'`);
  }
  refuseDefaultExchange(name);
  const existing = channel.link.vhost.exchanges.get(name);
  if (!existing) {
    refuseReservedName('exchange', name);
    checkAlternate(name, args.arguments);
    channel.link.vhost.addExchange({
      name,
      type,
      isDurable: durable,
      isAutoDelete: autoDelete,
      isInternal: internal,
      arguments: args.arguments,
    });
    return;
  }
  const { definition } = existing;
  requireSame('exchange', name, 'type', definition.type, type);
  requireSame('exchange', name, 'durable', definition.isDurable, durable);
  requireSame('exchange', name, 'auto_delete', definition.isAutoDelete, autoDelete);
  requireSame('exchange', name, 'internal', definition.isInternal, internal);
  requireSameArguments('exchange', name, ['alternate-exchange'], definition.arguments, args.arguments);
}

function checkAlternate(name: string, args: FieldTable): void {
  const field = args.get('alternate-exchange');
  if (!field || field.type === 'S') return;
  throw new ProtocolError(
    'PRECONDITION_FAILED',
    `invalid type '${FIELD_TYPE_NAMES[field.type]}' for arg 'alternate-exchange' in ${described('exchange', name)}`,
  );
}

function exchangeDestination(channel: Channel, source: string, destination: string): Destination {
  refuseDefaultExchange(cleanName(destination));
  refuseDefaultExchange(cleanName(source));
  // Of two that are missing RabbitMQ names the source.
  channel.link.vhost.exchange(cleanName(source));
  return { kind: 'exchange', exchange: channel.link.vhost.exchange(cleanName(destination)) };
}

/** @throws ProtocolError 404 without the exchange, 406 for arguments that its type refuses */
export function bind(
  channel: Channel,
  sourceName: string,
  destination: Destination,
  routingKey: string,
  args: FieldTable,
): void {
  const source = channel.link.vhost.exchange(cleanName(sourceName));
  if (source.definition.type === 'headers') checkMatchArguments(args);
  const binding: Binding = { source, destination, routingKey, arguments: args };
  channel.link.vhost.bind(binding);
}

/**
 * What is not there needs no unbinding.
 * @param check throws when the channel may not undo the binding
 */
export function unbind(
  channel: Channel,
  sourceName: string,
  destination: Destination,
  routingKey: string,
  args: FieldTable,
  check: () => void = () => undefined,
): void {
  const { vhost } = channel.link;
  const binding = vhost.exchanges.get(cleanName(sourceName))?.find(destination, routingKey, args);
  if (!binding) return;
  check();
  vhost.unbind(binding);
}
