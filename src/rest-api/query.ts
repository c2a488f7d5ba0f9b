import { InvalidArgumentError } from '../errors.ts';

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
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      const text = plainText(item, `${argument}.${name}`);
      if (text !== undefined) pairs.append(name, text);
    }
  }
  return pairs;
}

/** @returns undefined for what is left out */
export function plainText(value: unknown, argument: string): string | undefined {
  if (value === null || value === undefined) return undefined;
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new InvalidArgumentError(argument, 'a finite number', String(value));
  }
  if (typeof value === 'object' || typeof value === 'function' || typeof value === 'symbol') {
    throw new InvalidArgumentError(
      argument,
      'a text, a number, a boolean, a Date, or a list of them',
      `a ${typeof value}`,
    );
  }
  return String(value);
}
