import { isUtf8 } from 'node:buffer';
import { ByteReader } from './byte-reader.ts';
import type { ByteWriter } from './byte-writer.ts';
import { EMPTY_TABLE, type FieldTable, readTable, writeTable } from './field-table.ts';
import { describeFrame, erlangBytes, FRAME } from './frame.ts';
import { type ArgumentType, METHODS, type Method, type MethodArguments, type MethodName } from './method-table.ts';
import { type MethodNumbers, NO_METHOD, ProtocolError } from './protocol-error.ts';
import { unreachable } from './unreachable.ts';

interface Layout {
  readonly name: MethodName;
  readonly classId: number;
  readonly methodId: number;
  readonly fields: readonly (readonly [string, ArgumentType])[];
}
type Argument = number | string | boolean | FieldTable;

const LAYOUTS: Readonly<Record<string, Layout>> = Object.freeze(
  Object.fromEntries(
    Object.entries(METHODS).map(([name, { classId, methodId, fields }]) => [
      name,
      { name: name as MethodName, classId, methodId, fields: Object.entries(fields as Record<string, ArgumentType>) },
    ]),
  ),
);
const BY_ID: ReadonlyMap<number, Layout> = new Map(
  Object.values(LAYOUTS).map((layout) => [layout.classId * 65_536 + layout.methodId, layout]),
);
const BEYOND_ASCII = /[\x80-\xff]/;
/** Bytes of a method that an error text shows. */
const SHOWN_BYTES = 64;
const layoutOf = (name: MethodName): Layout => LAYOUTS[name] as Layout;

/** Class and method number, as `close` methods quote them. */
export function methodId(name: MethodName): MethodNumbers {
  const { classId, methodId: id } = METHODS[name];
  return { classId, methodId: id };
}

/** @throws ProtocolError for a method that does not exist (503), or arguments that cannot be read (501) */
export function readMethod(payload: Buffer): Method {
  if (payload.length < 4)
    throw new ProtocolError('FRAME_ERROR', `${describeFrame(FRAME.method, payload)}: unknown_frame`);
  const reader = new ByteReader(payload);
  const classId = reader.uint16();
  const id = reader.uint16();
  const layout = BY_ID.get(classId * 65_536 + id);
  if (!layout) throw new ProtocolError('COMMAND_INVALID', `unknown method ${classId}.${id}`);
  try {
    // The table above and the loop are the proof: the compiler cannot follow a table that it does not run.
    const method = { name: layout.name, args: readArguments(reader, layout) } as unknown as Method;
    if (reader.remaining > 0) throw new ProtocolError('SYNTAX_ERROR', 'bytes after the last argument');
    return method;
  } catch (error) {
    if (!(error instanceof ProtocolError) || error.at) throw error;
    const fields = payload.subarray(4, 4 + SHOWN_BYTES);
    throw new ProtocolError('FRAME_ERROR', `cannot decode ${erlangBytes(fields)}`, { at: layout, cause: error });
  }
}

function readArguments(reader: ByteReader, layout: Layout): Readonly<Record<string, Argument>> {
  const args: Record<string, Argument> = {};
  let bits = 0;
  let bit = 8;
  for (const [key, type] of layout.fields) {
    if (type !== 'bit') {
      args[key] = readArgument(reader, type);
      bit = 8;
      continue;
    }
    if (bit === 8) {
      bits = reader.uint8();
      bit = 0;
    }
    args[key] = (bits & (1 << bit)) !== 0;
    bit += 1;
  }
  return args;
}

/** RabbitMQ refuses names and keys that are no UTF-8, and leaves the strings of tables and properties alone. */
function requireUtf8(text: string): string {
  if (!BEYOND_ASCII.test(text) || isUtf8(Buffer.from(text, 'latin1'))) return text;
  throw new ProtocolError('FRAME_ERROR', 'Malformed UTF-8 in shortstr', { at: NO_METHOD });
}

function readArgument(reader: ByteReader, type: Exclude<ArgumentType, 'bit'>): Argument {
  switch (type) {
    case 'octet':
      return reader.uint8();
    case 'short':
      return reader.uint16();
    case 'long':
      return reader.uint32();
    case 'longlong':
      return reader.uint64();
    case 'shortstr':
      return requireUtf8(reader.shortString());
    case 'longstr':
      return reader.longString();
    case 'table':
      return readTable(reader);
    default:
      return type satisfies never;
  }
}

export function writeMethod<Name extends MethodName>(
  writer: ByteWriter,
  name: Name,
  args: MethodArguments<Name>,
): void {
  const layout = layoutOf(name);
  writer.uint16(layout.classId);
  writer.uint16(layout.methodId);
  const values = args as Readonly<Record<string, Argument | undefined>>;
  let bits = 0;
  let bit = 0;
  for (const [key, type] of layout.fields) {
    const value = values[key];
    if (type === 'bit') {
      if (value === true) bits |= 1 << bit;
      bit += 1;
      continue;
    }
    if (bit > 0) {
      writer.uint8(bits);
      bits = 0;
      bit = 0;
    }
    writeArgument(writer, type, value);
  }
  if (bit > 0) writer.uint8(bits);
}

function writeArgument(writer: ByteWriter, type: Exclude<ArgumentType, 'bit'>, value: Argument | undefined): void {
  switch (type) {
    case 'octet':
      writer.uint8(value as number);
      break;
    case 'short':
      writer.uint16(value as number);
      break;
    case 'long':
      writer.uint32(value as number);
      break;
    case 'longlong':
      writer.uint64(value as number);
      break;
    case 'shortstr':
      writer.shortString((value as string | undefined) ?? '');
      break;
    case 'longstr':
      writer.longString((value as string | undefined) ?? '');
      break;
    case 'table':
      writeTable(writer, (value as FieldTable | undefined) ?? EMPTY_TABLE);
      break;
    default:
      unreachable(type);
  }
}
