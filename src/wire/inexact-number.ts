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
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) at = endOfText(text, at);
    else if (char === MINUS || isDigit(char)) {
      const end = endOfNumber(text, at);
      const number = text.slice(at, end);
      if (isInexact(number)) return number;
      at = end - 1;
    }
  }
  return undefined;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const isDigit = (char: number): boolean => char >= 0x30 && char <= 0x39;
/** `+ - . E e` and digits. */
const isOfNumber = (char: number): boolean =>
  isDigit(char) || char === MINUS || char === 0x2b || char === 0x2e || char === 0x45 || char === 0x65;

function endOfText(text: string, start: number): number {
  let at = start + 1;
  for (; at < text.length && text.charCodeAt(at) !== QUOTE; at++) if (text.charCodeAt(at) === BACKSLASH) at += 1;
  return at;
}

function endOfNumber(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && isOfNumber(text.charCodeAt(at))) at += 1;
  return at;
}

function isInexact(number: string): boolean {
  const [, digits, rest = ''] = /^-?(\d+)(.*)$/.exec(number) ?? [];
  if (digits === undefined) return false;
  if (!Number.isFinite(Number(number))) return true;
  if (digits.length <= SURE_DIGITS || !/^(\.0*)?$/.test(rest)) return false;
  return digits.length > MOST_DIGITS || BigInt(digits) !== BigInt(Number(digits));
}
