import { InvalidArgumentError } from '../errors.ts';
import { kindOf } from '../util/assert-object.ts';
import { withArticle } from '../util/with-article.ts';

/**
 * `params` as a query, encoded: a list repeats its name (`a=1&a=2`), null and undefined are left out, a Date is ISO
 * 8601. The axios option `paramsSerializer` does it otherwise.
 */
export function encodeParams(params: unknown): string {
  return params instanceof URLSearchParams ? params.toString() : encodePairs(params, 'params').toString();
}

/** The same for a form. */
export function encodePairs(values: unknown, argument: string): URLSearchParams {
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new InvalidArgumentError(argument, 'an object', Array.isArray(values) ? 'a list' : typeof values);
  }
  assertOpen(values, argument);
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      const text = plainText(item, `${argument}.${name}`);
      if (text !== undefined) pairs.append(name, text);
    }
  }
  return pairs;
}

/** Besides what can be iterated. */
const CLOSED = [Promise, Error, RegExp, Date, ArrayBuffer, SharedArrayBuffer, WeakMap, WeakSet] as const;

/**
 * Of some objects the properties are not what they are: a Map, Headers, a stream, a Promise that nobody awaited. Read by
 * their names they are empty, and what the caller said would not be sent.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function assertOpen(values: object, argument: string): void {
  const prototype: unknown = Object.getPrototypeOf(values);
  if (prototype === Object.prototype || prototype === null) return;
  const isClosed = Symbol.asyncIterator in values || hasItems(values) || CLOSED.some((kind) => values instanceof kind);
  // A class of the caller's own may have both.
  if (!isClosed || Object.keys(values).length > 0) return;
  const [, kind = 'object'] = /^\[object (.*)\]$/.exec(Object.prototype.toString.call(values)) ?? [];
  throw new InvalidArgumentError(argument, 'an object whose properties are the values', withArticle(kind));
}

function hasItems(values: object): boolean {
  if (!(Symbol.iterator in values)) return false;
  for (const _ of values as Iterable<unknown>) return true;
  return false;
}

/** @returns undefined for what is left out */
export function plainText(value: unknown, argument: string): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new InvalidArgumentError(argument, 'a finite number', String(value));
  }
  if (typeof value === 'object' || typeof value === 'function' || typeof value === 'symbol') {
    throw new InvalidArgumentError(argument, 'a text, a number, a boolean, a Date, or a list of them', kindOf(value));
  }
  return String(value);
}
