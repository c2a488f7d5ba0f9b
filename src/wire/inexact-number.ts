import { jsonNumbers } from '../util/json-numbers.ts';

/** So many digits and fewer are always exact. */
const SURE_DIGITS = 15;
/** Longer ones no double reaches. */
const MOST_DIGITS = 309;
const MAY_BE_INEXACT = /\d{16}|\d[eE]/;

/**
 * The first number of a JSON text that becomes another one when JSON.parse reads it: a whole one beyond 2^53 of which a
 * double has not all digits, or one beyond all doubles. Fractions are rounded everywhere, and are let be.
 * @param text valid JSON
 */
export function inexactNumber(text: string): string | undefined {
  if (!MAY_BE_INEXACT.test(text)) return undefined;
  for (const number of jsonNumbers(text)) if (isInexact(number.text)) return number.text;
  return undefined;
}

function isInexact(number: string): boolean {
  const [, digits, rest = ''] = /^-?(\d+)(.*)$/.exec(number) ?? [];
  if (digits === undefined) return false;
  if (!Number.isFinite(Number(number))) return true;
  if (digits.length <= SURE_DIGITS || !/^(\.0*)?$/.test(rest)) return false;
  return digits.length > MOST_DIGITS || BigInt(digits) !== BigInt(Number(digits));
}
