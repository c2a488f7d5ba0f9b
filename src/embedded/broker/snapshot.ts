import type { Binding } from './binding.ts';
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import type { ExchangeType } from './exchange-type.ts';
import { type FieldTable, readTable, writeTable } from './field-table.ts';
import { Message } from './message.ts';
import type { Queue } from './queue.ts';
import { resolveQueueArguments } from './queue-arguments.ts';
import type { QueuedMessage } from './queued-message.ts';
import type { Unacked } from './unacked-messages.ts';
import { described, type VirtualHost } from './virtual-host.ts';

const SNAPSHOT_VERSION = 1;

interface ExchangeRecord {
  readonly name: string;
  readonly type: ExchangeType;
  readonly isAutoDelete: boolean;
  readonly isInternal: boolean;
  readonly arguments: string;
}
interface MessageRecord {
  readonly exchange: string;
  readonly routingKey: string;
  /** As on the wire, base64. */
  readonly properties: string;
  /** Base64. */
  readonly body: string;
  readonly isRedelivered: boolean;
  readonly returns: number;
  readonly expiresAt?: number;
}
interface QueueRecord {
  readonly name: string;
  readonly isAutoDelete: boolean;
  readonly arguments: string;
  readonly messages: readonly MessageRecord[];
}
interface BindingRecord {
  readonly source: string;
  readonly kind: 'queue' | 'exchange';
  readonly destination: string;
  readonly routingKey: string;
  readonly arguments: string;
}
/** What survives a restart: durable exchanges, queues and bindings, and persistent messages. Tables are base64. */
export interface Snapshot {
  readonly version: typeof SNAPSHOT_VERSION;
  readonly exchanges: readonly ExchangeRecord[];
  readonly queues: readonly QueueRecord[];
  readonly bindings: readonly BindingRecord[];
}

/** @param unacked deliveries that wait to be settled: after a restart they wait in their queues again */
export function takeSnapshot(vhost: VirtualHost, unacked: Iterable<Unacked>): Snapshot {
  const delivered = new Map<Queue, QueuedMessage[]>();
  for (const { queue, entry } of unacked) {
    const entries = delivered.get(queue) ?? [];
    entries.push({ ...entry, isRedelivered: true, returns: entry.returns + 1 });
    delivered.set(queue, entries);
  }
  const exchanges = [...vhost.exchanges.values()].filter(({ definition }) => definition.isDurable);
  const queues = [...vhost.queues.values()].filter(({ definition }) => definition.isDurable);
  return {
    version: SNAPSHOT_VERSION,
    exchanges: exchanges
      .filter(({ name }) => name !== '' && !name.startsWith('amq.'))
      .map(({ definition }) => ({
        name: definition.name,
        type: definition.type,
        isAutoDelete: definition.isAutoDelete,
        isInternal: definition.isInternal,
        arguments: encodeTable(definition.arguments),
      })),
    queues: queues.map((queue) => ({
      name: queue.name,
      isAutoDelete: queue.definition.isAutoDelete,
      arguments: encodeTable(queue.definition.arguments),
      messages: [...queue.ready, ...(delivered.get(queue) ?? [])]
        .filter(({ message }) => message.isPersistent || queue.isQuorum)
        .sort((a, b) => a.position - b.position)
        .map(recordMessage),
    })),
    bindings: exchanges.flatMap((exchange) => [...exchange.outgoing].filter(isDurable).map(recordBinding)),
  };
}

const isDurable = ({ destination }: Binding): boolean =>
  destination.kind === 'queue' ? destination.queue.definition.isDurable : destination.exchange.definition.isDurable;

function recordMessage({ message, expiresAt, isRedelivered, returns }: QueuedMessage): MessageRecord {
  return {
    exchange: message.exchange,
    routingKey: message.routingKey,
    properties: message.encodedProperties.toString('base64'),
    body: message.body.toString('base64'),
    isRedelivered,
    returns,
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}

function recordBinding({ source, destination, routingKey, arguments: args }: Binding): BindingRecord {
  const name = destination.kind === 'queue' ? destination.queue.name : destination.exchange.name;
  return { source: source.name, kind: destination.kind, destination: name, routingKey, arguments: encodeTable(args) };
}

/** Puts everything of a snapshot into an empty virtual host. */
export function restoreSnapshot(vhost: VirtualHost, snapshot: Snapshot): void {
  for (const record of snapshot.exchanges) {
    vhost.addExchange({ ...record, isDurable: true, arguments: decodeTable(record.arguments) });
  }
  for (const record of snapshot.queues) restoreQueue(vhost, record);
  for (const { source, kind, destination, routingKey, arguments: args } of snapshot.bindings) {
    vhost.bind({
      source: vhost.exchange(source),
      destination:
        kind === 'queue' ? { kind, queue: vhost.queue(destination) } : { kind, exchange: vhost.exchange(destination) },
      routingKey,
      arguments: decodeTable(args),
    });
  }
}

function restoreQueue(vhost: VirtualHost, { name, isAutoDelete, arguments: encoded, messages }: QueueRecord): void {
  const args = decodeTable(encoded);
  const settings = resolveQueueArguments(args, described('queue', name));
  const queue = vhost.addQueue({ name, isAutoDelete, isDurable: true, owner: undefined, arguments: args, settings });
  for (const { exchange, routingKey, properties, body, expiresAt, ...rest } of messages) {
    const message = new Message(exchange, routingKey, Buffer.from(properties, 'base64'), Buffer.from(body, 'base64'));
    queue.restore({ ...rest, message, expiresAt });
  }
}

/** @returns whether the value looks like a snapshot that this version can read */
export function isSnapshot(value: unknown): value is Snapshot {
  if (typeof value !== 'object' || value === null) return false;
  const { version, exchanges, queues, bindings } = value as Partial<Record<keyof Snapshot, unknown>>;
  return version === SNAPSHOT_VERSION && [exchanges, queues, bindings].every((list) => Array.isArray(list));
}

function encodeTable(table: FieldTable): string {
  const writer = new ByteWriter();
  writeTable(writer, table);
  return writer.take().toString('base64');
}

const decodeTable = (encoded: string): FieldTable => readTable(new ByteReader(Buffer.from(encoded, 'base64')));
