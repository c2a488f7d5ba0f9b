import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { type FieldTable, readTable, writeTable } from './field-table.ts';
import { ProtocolError } from './protocol-error.ts';

/** The properties of a message; strings hold one character for each byte. */
export interface Properties {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly headers?: FieldTable;
  readonly deliveryMode?: number;
  readonly priority?: number;
  readonly correlationId?: string;
  readonly replyTo?: string;
  readonly expiration?: string;
  readonly messageId?: string;
  readonly timestamp?: bigint;
  readonly type?: string;
  readonly userId?: string;
  readonly appId?: string;
  readonly clusterId?: string;
}

/** In the order of the wire; the first has the highest bit of the flags. */
const LAYOUT = [
  ['contentType', 'shortstr'],
  ['contentEncoding', 'shortstr'],
  ['headers', 'table'],
  ['deliveryMode', 'octet'],
  ['priority', 'octet'],
  ['correlationId', 'shortstr'],
  ['replyTo', 'shortstr'],
  ['expiration', 'shortstr'],
  ['messageId', 'shortstr'],
  ['timestamp', 'timestamp'],
  ['type', 'shortstr'],
  ['userId', 'shortstr'],
  ['appId', 'shortstr'],
  ['clusterId', 'shortstr'],
] as const satisfies readonly (readonly [keyof Properties, string])[];

/** Bits 15 to 2 are the fourteen properties, bit 1 means nothing, bit 0 says that more flags follow: there are none. */
const MORE_FLAGS = 0b1;

/** @throws ProtocolError 502 when the bytes are no properties */
export function readProperties(bytes: Buffer): Properties {
  const reader = new ByteReader(bytes);
  const flags = reader.uint16();
  if ((flags & MORE_FLAGS) !== 0) throw new ProtocolError('SYNTAX_ERROR', 'unknown property flags');
  const properties: Record<string, string | number | bigint | FieldTable> = {};
  let bit = 15;
  for (const [name, type] of LAYOUT) {
    if ((flags & (1 << bit)) !== 0) properties[name] = readProperty(reader, type);
    bit -= 1;
  }
  if (reader.remaining > 0) throw new ProtocolError('SYNTAX_ERROR', 'bytes after the last property');
  return properties;
}

function readProperty(reader: ByteReader, type: (typeof LAYOUT)[number][1]): string | number | bigint | FieldTable {
  switch (type) {
    case 'shortstr':
      return reader.shortString();
    case 'octet':
      return reader.uint8();
    case 'timestamp':
      return reader.bigUint64();
    case 'table':
      return readTable(reader);
    default:
      return type satisfies never;
  }
}

export function writeProperties(properties: Properties): Buffer {
  const writer = new ByteWriter();
  let flags = 0;
  let bit = 15;
  for (const [name] of LAYOUT) {
    if (properties[name] !== undefined) flags |= 1 << bit;
    bit -= 1;
  }
  writer.uint16(flags);
  for (const [name, type] of LAYOUT) {
    const value = properties[name];
    if (value === undefined) continue;
    if (type === 'shortstr') writer.shortString(value as string);
    else if (type === 'octet') writer.uint8(value as number);
    else if (type === 'timestamp') writer.bigUint64(value as bigint);
    else writeTable(writer, value as FieldTable);
  }
  return Buffer.from(writer.take());
}
