import { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import type { ExchangeDefinition } from './exchange.ts';
import { isExchangeType } from './exchange-type.ts';
import { type FieldTable, readTable, writeTable } from './field-table.ts';
import { Message } from './message.ts';

/** A binding by the names of its ends. */
export interface BindingRecord {
  readonly source: string;
  readonly kind: 'queue' | 'exchange';
  readonly destination: string;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}
export interface QueueRecord {
  /** Its number in this journal. */
  readonly queue: number;
  readonly name: string;
  readonly isAutoDelete: boolean;
  readonly arguments: FieldTable;
}
export interface MessageRecord {
  readonly queue: number;
  /** Its number in the queue. */
  readonly id: number;
  readonly isRedelivered: boolean;
  readonly returns: number;
  readonly expiresAt: number | undefined;
  readonly message: Message;
}

/** One change of what is kept. */
export type JournalRecord =
  | { readonly kind: 'exchange'; readonly exchange: ExchangeDefinition }
  | { readonly kind: 'exchange-deleted'; readonly name: string }
  | { readonly kind: 'queue'; readonly queue: QueueRecord }
  | { readonly kind: 'queue-deleted'; readonly queue: number }
  | { readonly kind: 'bound' | 'unbound'; readonly binding: BindingRecord }
  | { readonly kind: 'message'; readonly entry: MessageRecord }
  | { readonly kind: 'delivered' | 'left'; readonly queue: number; readonly id: number };

const TAGS = Object.freeze({
  exchange: 1,
  'exchange-deleted': 2,
  queue: 3,
  'queue-deleted': 4,
  bound: 5,
  unbound: 6,
  message: 7,
  delivered: 8,
  left: 9,
} as const satisfies Readonly<Record<JournalRecord['kind'], number>>);
const KINDS = new Map(Object.entries(TAGS).map(([kind, tag]) => [tag as number, kind as JournalRecord['kind']]));

const NEVER = 0;

export function writeRecord(writer: ByteWriter, record: JournalRecord): void {
  writer.uint8(TAGS[record.kind]);
  switch (record.kind) {
    case 'exchange':
      writer.shortString(record.exchange.name);
      writer.shortString(record.exchange.type);
      writer.uint8(Number(record.exchange.isAutoDelete) | (Number(record.exchange.isInternal) << 1));
      writeTable(writer, record.exchange.arguments);
      return;
    case 'exchange-deleted':
      writer.shortString(record.name);
      return;
    case 'queue':
      writer.uint32(record.queue.queue);
      writer.shortString(record.queue.name);
      writer.uint8(Number(record.queue.isAutoDelete));
      writeTable(writer, record.queue.arguments);
      return;
    case 'queue-deleted':
      writer.uint32(record.queue);
      return;
    case 'bound':
    case 'unbound':
      writeBinding(writer, record.binding);
      return;
    case 'message':
      writeMessage(writer, record.entry);
      return;
    case 'delivered':
    case 'left':
      writer.uint32(record.queue);
      writer.uint64(record.id);
      return;
    default:
      record satisfies never;
  }
}

function writeBinding(writer: ByteWriter, binding: BindingRecord): void {
  writer.shortString(binding.source);
  writer.uint8(Number(binding.kind === 'queue'));
  writer.shortString(binding.destination);
  writer.shortString(binding.routingKey);
  writeTable(writer, binding.arguments);
}

function writeMessage(writer: ByteWriter, { queue, id, isRedelivered, returns, expiresAt, message }: MessageRecord) {
  writer.uint32(queue);
  writer.uint64(id);
  writer.uint8(Number(isRedelivered));
  writer.uint32(returns);
  writer.uint64(expiresAt ?? NEVER);
  writer.shortString(message.exchange);
  writer.shortString(message.routingKey);
  writer.uint32(message.encodedProperties.length);
  writer.bytes(message.encodedProperties);
  writer.uint32(message.body.length);
  writer.bytes(message.body);
}

/** Every record of a block of bytes. @throws ProtocolError when it is no block of records */
export function* readRecords(bytes: Buffer): Generator<JournalRecord> {
  const reader = new ByteReader(bytes);
  while (reader.remaining > 0) yield readRecord(reader);
}

function readRecord(reader: ByteReader): JournalRecord {
  const tag = reader.uint8();
  const kind = KINDS.get(tag);
  switch (kind) {
    case 'exchange':
      return { kind, exchange: readExchange(reader) };
    case 'exchange-deleted':
      return { kind, name: reader.shortString() };
    case 'queue': {
      const [queue, name, isAutoDelete] = [reader.uint32(), reader.shortString(), reader.uint8() !== 0];
      return { kind, queue: { queue, name, isAutoDelete, arguments: readTable(reader) } };
    }
    case 'queue-deleted':
      return { kind, queue: reader.uint32() };
    case 'bound':
    case 'unbound':
      return { kind, binding: readBinding(reader) };
    case 'message':
      return { kind, entry: readMessage(reader) };
    case 'delivered':
    case 'left':
      return { kind, queue: reader.uint32(), id: reader.uint64() };
    case undefined:
      throw new Error(`a journal record of an unknown kind, ${tag}`);
    default:
      return kind satisfies never;
  }
}

function readExchange(reader: ByteReader): ExchangeDefinition {
  const [name, type, flags] = [reader.shortString(), reader.shortString(), reader.uint8()];
  if (!isExchangeType(type)) throw new Error(`a journal record of an unknown type of exchange, ${type}`);
  const [isAutoDelete, isInternal] = [(flags & 1) !== 0, (flags & 2) !== 0];
  return { name, type, isDurable: true, isAutoDelete, isInternal, arguments: readTable(reader) };
}

function readBinding(reader: ByteReader): BindingRecord {
  const source = reader.shortString();
  const kind = reader.uint8() === 0 ? 'exchange' : 'queue';
  const [destination, routingKey] = [reader.shortString(), reader.shortString()];
  return { source, kind, destination, routingKey, arguments: readTable(reader) };
}

function readMessage(reader: ByteReader): MessageRecord {
  const [queue, id, isRedelivered, returns] = [reader.uint32(), reader.uint64(), reader.uint8() !== 0, reader.uint32()];
  const expiresAt = reader.uint64();
  const [exchange, routingKey] = [reader.shortString(), reader.shortString()];
  // Copies: a view would keep the whole file in memory as long as one message of it waits.
  const properties = Buffer.from(reader.bytes(reader.uint32()));
  const body = Buffer.from(reader.bytes(reader.uint32()));
  const message = new Message(exchange, routingKey, properties, body);
  return { queue, id, isRedelivered, returns, expiresAt: expiresAt === NEVER ? undefined : expiresAt, message };
}
