import { FIELD_TYPE_NAMES, type Field, type FieldTable } from './field-table.ts';

/** Text for a table; characters beyond latin1 become their UTF-8 bytes. */
export const textField = (text: string): Field => ({ type: 'S', value: toWire(text) });
export const boolField = (value: boolean): Field => ({ type: 't', value });
export const longField = (value: number): Field => ({ type: 'l', value: BigInt(value) });
export const tableField = (entries: Iterable<readonly [string, Field]>): Field => ({
  type: 'F',
  value: new Map(entries),
});

/** UTF-8 text as the broker holds it: one character for each byte. */
export const toWire = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
/** Back to text for people: logs, statistics. */
export const fromWire = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');

/** The number in an integer field of any width, else `undefined`. */
export function integerOf(field: Field | undefined): number | undefined {
  switch (field?.type) {
    case 'b':
    case 'B':
    case 's':
    case 'u':
    case 'I':
    case 'i':
      return field.value;
    case 'l':
    case 'L':
      return Number(field.value);
    default:
      return undefined;
  }
}

export const textOf = (field: Field | undefined): string | undefined => (field?.type === 'S' ? field.value : undefined);
export const isTrue = (field: Field | undefined): boolean => field?.type === 't' && field.value;
/** A capability of a peer: `capabilities.<name> = true` in its properties. */
export function hasCapability(properties: FieldTable, name: string): boolean {
  const capabilities = properties.get('capabilities');
  return capabilities?.type === 'F' && isTrue(capabilities.value.get(name));
}

/** Equal as RabbitMQ compares arguments: integers by value whatever their width, all else by type and value. */
export function areFieldsEqual(a: Field | undefined, b: Field | undefined): boolean {
  if (!a || !b) return a === b;
  const [left, right] = [integerOf(a), integerOf(b)];
  if (left !== undefined || right !== undefined) return left === right;
  if (a.type === 'F' && b.type === 'F') return areTablesEqual(a.value, b.value);
  if (a.type === 'A' && b.type === 'A') {
    return a.value.length === b.value.length && a.value.every((item, i) => areFieldsEqual(item, b.value[i]));
  }
  if (a.type === 'x' && b.type === 'x') return a.value.equals(b.value);
  if (a.type === 'D' && b.type === 'D') return a.scale === b.scale && a.value === b.value;
  return a.type === b.type && a.value === b.value;
}

export function areTablesEqual(a: FieldTable, b: FieldTable): boolean {
  if (a.size !== b.size) return false;
  for (const [key, field] of a) if (!areFieldsEqual(field, b.get(key))) return false;
  return true;
}

/** `the value '5' of type 'signedint'`, or `none`: for the texts of 406. */
export function describeField(field: Field | undefined): string {
  return field ? `the value '${String(field.value)}' of type '${FIELD_TYPE_NAMES[field.type]}'` : 'none';
}

/** A text that is the same for equal tables, whatever the order of their keys: bindings are told apart by it. */
export function tableKey(table: FieldTable): string {
  return table.size === 0 ? '' : JSON.stringify(entriesKey(table));
}

// A value, made a text at the top alone: a text within a text is escaped, which doubles it at each level.
const entriesKey = (table: FieldTable): unknown =>
  [...table].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, field]) => [key, fieldKey(field)]);

function fieldKey(field: Field): unknown {
  const integer = integerOf(field);
  if (integer !== undefined) return integer;
  switch (field.type) {
    case 'F':
      return ['F', entriesKey(field.value)];
    case 'A':
      return ['A', field.value.map(fieldKey)];
    case 'x':
      return ['x', field.value.toString('latin1')];
    case 'D':
      return ['D', field.scale, field.value];
    default:
      return [field.type, String(field.value)];
  }
}

/** A string as Erlang prints it: RabbitMQ's texts quote some values so. */
export const erlangBinary = (text: string): string => `<<${JSON.stringify(text)}>>`;
