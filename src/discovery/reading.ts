/*
 * Whoever may use the broker can say anything in a notice. What is read here is of the right form and bounded; what is
 * not of that form counts as not said, so that a service of another version is still understood in the rest.
 */

export type Fields = Readonly<Record<string, unknown>>;

export const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};

/** A text, cut to so many characters; '' for anything else. */
export const text = (value: unknown, most = 255): string => (typeof value === 'string' ? value.slice(0, most) : '');

export const wholeNumber = (value: unknown, min: number, max: number, otherwise: number): number =>
  typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : otherwise;

/** Entries that can be read, at most so many. */
export function list<T>(value: unknown, most: number, read: (entry: unknown) => T | undefined): T[] {
  if (!Array.isArray(value)) return [];
  const entries: T[] = [];
  for (const entry of value.slice(0, most)) {
    const known = read(entry);
    if (known !== undefined) entries.push(known);
  }
  return entries;
}

/** One of these; undefined for what a later version may have added. */
export const oneOf = <T extends string>(known: readonly T[], value: unknown): T | undefined =>
  known.find((each) => each === value);

/** As it came: JSON, bounded as a whole. */
export const object = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
