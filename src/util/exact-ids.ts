const exactIds = new WeakMap<object, ReadonlyMap<string, bigint>>();

/** The names that ids have in envelopes. */
const IDS = ['id', 'eventId', 'event_id'] as const;

/**
 * Keeps what JSON.parse rounds: an id beyond 2^53 (a bigserial, a snowflake) would be the same as its neighbours'.
 * @param value what `text` was parsed to
 */
export function keepExactIds(value: unknown, text: string): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  let ids: Map<string, bigint> | undefined;
  for (const name of IDS) {
    const id: unknown = Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
    if (typeof id !== 'number' || Number.isSafeInteger(id)) continue;
    const digits = integerOf(text, name);
    if (digits === undefined) continue;
    ids ??= new Map();
    ids.set(name, BigInt(digits));
  }
  if (ids) exactIds.set(value, ids);
}

/** The id as it was written; undefined when JSON.parse has kept it, or it is no integer. */
export const exactId = (parsed: object, name: string): bigint | undefined => exactIds.get(parsed)?.get(name);

const INTEGER = /-?\d+(?=\s*[,}])/y;
const SPACE = /\s*/y;

/** Of an object that JSON.parse has taken: the digits of its last member of this name, as JSON.parse takes the last one. */
function integerOf(text: string, name: string): string | undefined {
  let digits: string | undefined;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') depth -= 1;
    if (char !== '"') continue;
    const start = at;
    for (at += 1; text[at] !== '"'; at++) if (text[at] === '\\') at += 1;
    if (depth !== 1) continue;
    const colon = past(SPACE, text, at + 1);
    if (text[colon] !== ':' || JSON.parse(text.slice(start, at + 1)) !== name) continue;
    INTEGER.lastIndex = past(SPACE, text, colon + 1);
    digits = INTEGER.exec(text)?.[0];
  }
  return digits;
}

function past(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  pattern.exec(text);
  return pattern.lastIndex;
}
