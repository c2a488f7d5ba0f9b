import { jsonNumbers } from './json-numbers.ts';

const exactIds = new WeakMap<object, ReadonlyMap<string, bigint>>();

/** The names that ids have in envelopes. */
const IDS: readonly string[] = ['id', 'eventId', 'event_id'];

/**
 * Keeps what JSON.parse rounds: an id beyond 2^53 (a bigserial, a snowflake) would be the same as its neighbours'. What
 * it makes Infinity of is no id.
 * @param value what `text` was parsed to
 */
export function keepExactIds(value: unknown, text: string): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  const isRounded = (name: string) => {
    const id: unknown = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
    return typeof id === 'number' && Number.isFinite(id) && !Number.isSafeInteger(id);
  };
  const rounded = IDS.filter(isRounded);
  if (rounded.length === 0) return;
  const ids = new Map<string, bigint>();
  // Of members with one name JSON.parse takes the last.
  for (const { text: written, name } of jsonNumbers(text)) {
    if (name === undefined || !rounded.includes(name)) continue;
    if (written.length <= MOST_CHARACTERS && INTEGER.test(written)) ids.set(name, BigInt(written));
    else ids.delete(name);
  }
  exactIds.set(value, ids);
}

/** The id as it was written; undefined when JSON.parse has kept it, or it is no integer. */
export const exactId = (parsed: object, name: string): bigint | undefined => exactIds.get(parsed)?.get(name);

/**
 * A sign and 309 digits: what is longer no double reaches. A BigInt takes time that grows faster than its digits, and a
 * body may be nothing but digits.
 */
const MOST_CHARACTERS = 310;
const INTEGER = /^-?\d+$/;
