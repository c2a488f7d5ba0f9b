import fc from 'fast-check';

/** Judges of the router that share nothing with it: slow, and plainly the rules as written. */

/** A pattern as a regular expression over the key's words, each written as `<word>`. */
export function oracleMatches(pattern: string, key: string): boolean {
  const words = (text: string) => (text === '' ? [] : text.split('.'));
  const source = words(pattern).map((word) => {
    if (word === '#') return '(?:<[^<>]*>)*';
    return word === '*' ? '<[^<>]*>' : `<${word.replace(/[^a-z]/g, '\\$&')}>`;
  });
  const text = words(key).map((word) => `<${word}>`);
  return new RegExp(`^${source.join('')}$`).test(text.join(''));
}

/** Whether `a` is more specific than `b`: literal > `*` > the end > `#` at the first difference, else alphabetical order. */
export function oracleBeats(a: string, b: string): boolean {
  const letters = (text: string) => `${(text === '' ? [] : text.split('.')).map(letter).join('')}E`;
  const [left, right] = [letters(a), letters(b)];
  return left === right ? a < b : left < right;
}

/** Letters that sort as the rule says: literal, star, end, hash. */
const letter = (word: string): string => (word === '#' ? 'Z' : word === '*' ? 'B' : 'A');

/** What must take the key: itself, else the pattern that no other matching one beats. */
export function oracleWinner(patterns: readonly string[], key: string): string | undefined {
  const isWild = (pattern: string) => /(^|\.)[*#](\.|$)/.test(pattern);
  if (patterns.includes(key) && !isWild(key)) return key;
  const matching = patterns.filter((pattern) => isWild(pattern) && oracleMatches(pattern, key));
  return matching.find((one) => matching.every((other) => other === one || oracleBeats(one, other)));
}

/** Few words, so that patterns and keys meet; empty words and the empty text are legal in AMQP. */
export const dotted = (words: readonly string[], maxLength: number) =>
  fc.array(fc.constantFrom(...words), { maxLength }).map((parts) => parts.join('.'));

export const arbitraryPatterns = (maxLength = 12) =>
  fc.uniqueArray(dotted(['a', 'b', 'c', '*', '*', '#', '#', ''], 6), { minLength: 1, maxLength });
export const arbitraryKey = () => dotted(['a', 'b', 'c', 'a', 'b', ''], 7);
