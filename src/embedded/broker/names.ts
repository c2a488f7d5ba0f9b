import type { Field, FieldTable } from './field-table.ts';
import { areFieldsEqual, describeField } from './fields.ts';
import { ProtocolError } from './protocol-error.ts';
import { described } from './virtual-host.ts';

/** RabbitMQ takes line breaks out of names. */
export const cleanName = (name: string): string => name.replace(/[\r\n]/g, '');

/** @throws ProtocolError 403 for a new thing whose name only the broker may give */
export function refuseReservedName(kind: 'queue' | 'exchange', name: string): void {
  if (!name.startsWith('amq.')) return;
  throw new ProtocolError('ACCESS_REFUSED', `${kind} name '${name}' contains reserved prefix 'amq.*'`);
}

/** @throws ProtocolError 403 */
export function refuseDefaultExchange(name: string): void {
  if (name === '') throw new ProtocolError('ACCESS_REFUSED', 'operation not permitted on the default exchange');
}

export type Kind = 'queue' | 'exchange';

/** @throws ProtocolError 406 when a thing is declared again with another property */
export function requireSame(kind: Kind, name: string, what: string, current: string | boolean, got: typeof current) {
  if (current !== got) throw inequivalent(kind, name, what, `'${got}'`, `'${current}'`);
}

/** @throws ProtocolError 406 when a thing is declared again with another of these arguments */
export function requireSameArguments(
  kind: Kind,
  name: string,
  names: readonly string[],
  current: FieldTable,
  got: FieldTable,
): void {
  for (const argument of names) {
    const [before, now] = [current.get(argument), got.get(argument)];
    if (areFieldsEqual(before, now) || areBothClassic(argument, before, now)) continue;
    // RabbitMQ names the types only when the argument is missing on one side.
    if (before && now) throw inequivalent(kind, name, argument, `'${now.value}'`, `'${before.value}'`);
    throw inequivalent(kind, name, argument, describeField(now), describeField(before));
  }
}

/** Leaving the queue type out is the same as `classic`. */
const areBothClassic = (argument: string, ...fields: readonly (Field | undefined)[]): boolean =>
  argument === 'x-queue-type' && fields.every((field) => field === undefined || field.value === 'classic');

const inequivalent = (kind: Kind, name: string, what: string, got: string, current: string): ProtocolError =>
  new ProtocolError(
    'PRECONDITION_FAILED',
    `inequivalent arg '${what}' for ${described(kind, name)}: received ${got} but current is ${current}`,
  );
