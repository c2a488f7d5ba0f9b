import { HttpProblem } from './problem.ts';

export interface WholeNumberRange {
  /** For a parameter that is not given. */
  readonly fallback: number;
  readonly min: number;
  readonly max?: number;
}

/** A whole number of a query. @throws HttpProblem 400 */
export function wholeNumber(value: unknown, name: string, range: WholeNumberRange): number {
  const { fallback, min, max = Number.MAX_SAFE_INTEGER } = range;
  if (value === undefined) return fallback;
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  const upTo = max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`;
  throw new HttpProblem(400, `${name}: expected a whole number from ${min}${upTo}`);
}
