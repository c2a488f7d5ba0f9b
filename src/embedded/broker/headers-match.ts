import { FIELD_TYPE_NAMES, type Field, type FieldTable } from './field-table.ts';
import { areFieldsEqual, erlangBinary } from './fields.ts';
import { ProtocolError } from './protocol-error.ts';

const MODES = ['all', 'any', 'all-with-x', 'any-with-x'] as const;
type Mode = (typeof MODES)[number];

/** @throws ProtocolError 406 for an `x-match` that does not exist */
export function checkMatchArguments(args: FieldTable): void {
  const mode = args.get('x-match');
  if (!mode) return;
  if (mode.type !== 'S') {
    throw new ProtocolError(
      'PRECONDITION_FAILED',
      `Invalid x-match field type ${FIELD_TYPE_NAMES[mode.type]} (value ${mode.value ?? 'undefined'}); expected longstr`,
    );
  }
  if (!MODES.includes(mode.value as Mode)) {
    throw new ProtocolError(
      'PRECONDITION_FAILED',
      `Invalid x-match field value ${erlangBinary(mode.value)}; expected all, any, all-with-x, or any-with-x`,
    );
  }
}

/** Whether a message with these headers goes through a binding with these arguments of a headers exchange. */
export function matchesHeaders(args: FieldTable, headers: FieldTable): boolean {
  const mode = (args.get('x-match')?.value ?? 'all') as Mode;
  const isAll = mode === 'all' || mode === 'all-with-x';
  const countsX = mode === 'all-with-x' || mode === 'any-with-x';
  for (const [key, wanted] of args) {
    if (key === 'x-match' || (!countsX && key.startsWith('x-'))) continue;
    const isMatch = hasHeader(headers.get(key), wanted);
    if (isMatch !== isAll) return isMatch;
  }
  return isAll;
}

/** A void argument asks only that the header is there. */
const hasHeader = (field: Field | undefined, wanted: Field): boolean =>
  field !== undefined && (wanted.type === 'V' || isSameValue(field, wanted));

/** RabbitMQ compares what fields hold, not how: 1 is 1.0 in any width, and a text is its bytes. */
function isSameValue(a: Field, b: Field): boolean {
  const [left, right] = [comparable(a), comparable(b)];
  if (left === undefined || right === undefined) return areFieldsEqual(a, b);
  if (typeof left === 'string' || typeof right === 'string') return left === right;
  // Of a bigint and a number, `===` is never true.
  return left <= right && left >= right;
}

function comparable(field: Field): number | bigint | string | undefined {
  if (field.type === 'x') return field.value.toString('latin1');
  const isPlain = typeof field.value === 'number' || typeof field.value === 'bigint' || typeof field.value === 'string';
  return isPlain && field.type !== 'D' ? field.value : undefined;
}
