/** `'500ms'`, `'5s'`, `'2m'`, `'1h'`, `'7d'`, or a number in the unit that the option's name says. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
export type DurationUnit = keyof typeof UNIT_MS;
const SHAPE = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** A hundred years: added to a time it is one that can still be written. */
export const MAX_KEPT_MS = 36_500 * UNIT_MS.d;

/**
 * A duration in milliseconds; `undefined` for anything else, a negative or non-finite number.
 * @param numberUnit unit of a bare number: `'ms'` unless the option's name says otherwise
 */
export function parseDuration(value: unknown, numberUnit: DurationUnit = 'ms'): number | undefined {
  if (typeof value === 'number') {
    return Number.isFinite(value) && value >= 0 ? value * UNIT_MS[numberUnit] : undefined;
  }
  const match = typeof value === 'string' ? SHAPE.exec(value) : null;
  return match ? Number(match[1]) * UNIT_MS[match[2] as DurationUnit] : undefined;
}
