import { MalformedMessageError } from '../errors.ts';
import { exactId } from '../util/exact-ids.ts';

export type JsonObject = { readonly [key: string]: unknown };

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws MalformedMessageError (reason `no-envelope`) */
export function requireObject(value: unknown, what: string): JsonObject {
  if (isJsonObject(value)) return value;
  throw new MalformedMessageError('no-envelope', `${what} is no JSON object`);
}

/** Envelope keys come in camelCase or, from some versions of the Python peer, snake_case. Payloads are never re-cased. */
export function readField(envelope: JsonObject, camelCase: string): unknown {
  const name = nameIn(envelope, camelCase);
  return name === undefined ? undefined : envelope[name];
}

function nameIn(envelope: JsonObject, camelCase: string): string | undefined {
  if (Object.hasOwn(envelope, camelCase)) return camelCase;
  const snakeCase = camelCase.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.hasOwn(envelope, snakeCase) ? snakeCase : undefined;
}

/** @throws MalformedMessageError (reason `no-envelope`) unless it is there and a string */
export function requireString(envelope: JsonObject, camelCase: string): string {
  const value = readField(envelope, camelCase);
  if (typeof value === 'string') return value;
  throw new MalformedMessageError('no-envelope', `${camelCase} is ${value === undefined ? 'missing' : 'no string'}`);
}

/** An id: the peers send numbers or strings. One beyond 2^53 is a bigint. @throws MalformedMessageError (reason `no-envelope`) */
export function requireId(envelope: JsonObject, camelCase: string): string | number | bigint {
  const name = nameIn(envelope, camelCase);
  const value = name === undefined ? undefined : (exactId(envelope, name) ?? envelope[name]);
  if (typeof value === 'bigint') return value;
  if ((typeof value === 'string' && value !== '') || (typeof value === 'number' && Number.isFinite(value)))
    return value;
  throw new MalformedMessageError(
    'no-envelope',
    `${camelCase} is ${value === undefined ? 'missing' : 'neither a string nor a number'}`,
  );
}
