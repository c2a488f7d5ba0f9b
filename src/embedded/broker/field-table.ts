import type { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { ProtocolError } from './protocol-error.ts';
import { unreachable } from './unreachable.ts';

/** A value in a table, with the type letter that it had on the wire, so that it leaves exactly as it came. */
export type Field =
  | { readonly type: 'S'; readonly value: string }
  | { readonly type: 'b' | 'B' | 's' | 'u' | 'I' | 'i'; readonly value: number }
  | { readonly type: 'l' | 'L' | 'T'; readonly value: bigint }
  | { readonly type: 'f' | 'd'; readonly value: number }
  | { readonly type: 'D'; readonly scale: number; readonly value: number }
  | { readonly type: 't'; readonly value: boolean }
  | { readonly type: 'F'; readonly value: FieldTable }
  | { readonly type: 'A'; readonly value: readonly Field[] }
  | { readonly type: 'x'; readonly value: Buffer }
  | { readonly type: 'V'; readonly value: null };
export type FieldTable = ReadonlyMap<string, Field>;

export const EMPTY_TABLE: FieldTable = new Map();

/** RabbitMQ's names of the types, as its error texts have them. */
export const FIELD_TYPE_NAMES: Readonly<Record<Field['type'], string>> = Object.freeze({
  S: 'longstr',
  I: 'signedint',
  D: 'decimal',
  T: 'timestamp',
  F: 'table',
  A: 'array',
  b: 'byte',
  B: 'unsignedbyte',
  s: 'short',
  u: 'unsignedshort',
  i: 'unsignedint',
  l: 'long',
  L: 'unsignedlong',
  f: 'float',
  d: 'double',
  t: 'bool',
  x: 'binary',
  V: 'void',
});

/** Deeper nesting is refused: reading is recursive, and a frame has room for twenty thousand levels. */
const MAX_DEPTH = 128;

export function readTable(reader: ByteReader): FieldTable {
  const length = reader.uint32();
  return length === 0 ? EMPTY_TABLE : readEntries(reader.block(length), 0);
}

/** The entries of a table without its length: so is an AMQPLAIN response. */
export function readEntries(reader: ByteReader, depth = 0): FieldTable {
  const table = new Map<string, Field>();
  while (reader.remaining > 0) {
    const key = reader.shortString();
    table.set(key, readField(reader, depth));
  }
  return table;
}

function readField(reader: ByteReader, depth: number): Field {
  if (depth > MAX_DEPTH) throw new ProtocolError('SYNTAX_ERROR', 'table nested too deeply');
  const type = String.fromCharCode(reader.uint8());
  switch (type) {
    case 'S':
      return { type, value: reader.longString() };
    case 'b':
      return { type, value: reader.int8() };
    case 'B':
      return { type, value: reader.uint8() };
    case 's':
      return { type, value: reader.int16() };
    case 'u':
      return { type, value: reader.uint16() };
    case 'I':
      return { type, value: reader.int32() };
    case 'i':
      return { type, value: reader.uint32() };
    case 'l':
      return { type, value: reader.bigInt64() };
    case 'L':
    case 'T':
      return { type, value: reader.bigUint64() };
    case 'f':
      return { type, value: reader.float() };
    case 'd':
      return { type, value: reader.double() };
    case 'D':
      return { type, scale: reader.uint8(), value: reader.uint32() };
    case 't':
      return { type, value: reader.uint8() !== 0 };
    case 'F':
      return { type, value: readEntries(reader.block(reader.uint32()), depth + 1) };
    case 'A':
      return { type, value: readItems(reader.block(reader.uint32()), depth + 1) };
    case 'x':
      return { type, value: Buffer.from(reader.bytes(reader.uint32())) };
    case 'V':
      return { type, value: null };
    default:
      throw new ProtocolError('SYNTAX_ERROR', `unknown field type ${type.charCodeAt(0)}`);
  }
}

function readItems(reader: ByteReader, depth: number): readonly Field[] {
  const items: Field[] = [];
  while (reader.remaining > 0) items.push(readField(reader, depth));
  return items;
}

export function writeTable(writer: ByteWriter, table: FieldTable): void {
  const from = writer.beginSized();
  for (const [key, field] of table) {
    writer.shortString(key);
    writeField(writer, field);
  }
  writer.endSized(from);
}

function writeField(writer: ByteWriter, field: Field): void {
  writer.uint8(field.type.charCodeAt(0));
  switch (field.type) {
    case 'S':
      writer.longString(field.value);
      break;
    case 'b':
      writer.int8(field.value);
      break;
    case 'B':
      writer.uint8(field.value);
      break;
    case 's':
      writer.int16(field.value);
      break;
    case 'u':
      writer.uint16(field.value);
      break;
    case 'I':
      writer.int32(field.value);
      break;
    case 'i':
      writer.uint32(field.value);
      break;
    case 'l':
      writer.bigInt64(field.value);
      break;
    case 'L':
    case 'T':
      writer.bigUint64(field.value);
      break;
    case 'f':
      writer.float(field.value);
      break;
    case 'd':
      writer.double(field.value);
      break;
    case 'D':
      writer.uint8(field.scale);
      writer.uint32(field.value);
      break;
    case 't':
      writer.uint8(field.value ? 1 : 0);
      break;
    case 'F':
      writeTable(writer, field.value);
      break;
    case 'A':
      writeItems(writer, field.value);
      break;
    case 'x':
      writer.uint32(field.value.length);
      writer.bytes(field.value);
      break;
    case 'V':
      break;
    default:
      unreachable(field);
  }
}

function writeItems(writer: ByteWriter, items: readonly Field[]): void {
  const from = writer.beginSized();
  for (const item of items) writeField(writer, item);
  writer.endSized(from);
}
