/** A value from somewhere above the settings file: an environment variable, or a command-line option. */
export interface Override {
  readonly path: readonly string[];
  readonly value: unknown;
  /** `SVC_COMM_PREFETCH`, `--no-wait`. */
  readonly from: string;
}

/** Takes an object that is one thing. */
const NO_GROUP = 'transactions';

/** Settings as overrides: a group that is given in part leaves the rest of it as it is. */
export function overridesOf(settings: object, from: string): Override[] {
  return Object.entries(settings).flatMap(([name, value]): Override[] => {
    if (value === undefined) return [];
    if (name === 'queue' && typeof value === 'string') return [{ path: ['queue', 'name'], value, from }];
    if (!isGroup(value) || name === NO_GROUP) return [{ path: [name], value, from }];
    const parts = Object.entries(value).filter(([, part]) => part !== undefined);
    return parts.map(([member, part]) => ({ path: [name, member], value: part, from }));
  });
}

/** Whether a setting's value is one of several parts, each with a default of its own. */
export const isGroup = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The settings with the overrides put in, the given object left as it is. Later overrides win. */
export function applyOverrides(given: object, overrides: readonly Override[]): Record<string, unknown> {
  let result: Record<string, unknown> = { ...given };
  for (const { path, value } of overrides) result = withValue(result, path, value);
  return result;
}

/** Where the value at a path came from. */
export function originOf(path: readonly PropertyKey[], overrides: readonly Override[], otherwise: string): string {
  const isWithin = (override: Override) => override.path.every((key, i) => key === path[i]);
  return overrides.findLast(isWithin)?.from ?? otherwise;
}

function withValue(object: Record<string, unknown>, path: readonly string[], value: unknown): Record<string, unknown> {
  const [key, ...rest] = path;
  if (key === undefined) return object;
  if (rest.length === 0) return { ...object, [key]: value };
  const member = object[key];
  if (member === undefined) return { ...object, [key]: withValue({}, rest, value) };
  // `queue: 'orders'` is short for `queue: { name: 'orders' }`.
  if (typeof member === 'string') return { ...object, [key]: withValue({ name: member }, rest, value) };
  // Something that is no object is wrong in itself and is reported as such.
  if (typeof member !== 'object' || member === null) return object;
  return { ...object, [key]: withValue({ ...member }, rest, value) };
}
