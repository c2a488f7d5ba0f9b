import { InvalidNameError } from '../errors.ts';

/** Longest exchange, queue, routing-key and pattern text in bytes: an AMQP shortstr has one length octet. */
const MAX_BYTES = 255;

/** A routing pattern of a topic exchange: words between dots, `*` for one word, `#` for any number of words. */
export interface TopicPattern {
  readonly text: string;
  readonly words: readonly string[];
  /** No `*` and no `#`: it takes one routing key only. */
  readonly isExact: boolean;
}

/**
 * A routing pattern, taken apart.
 * @throws InvalidNameError (SVC_COMM_INVALID_NAME) when it is no text, has over 255 bytes or a control character, or
 * when `*` or `#` is a part of a word: the broker would take that literally, which is never what was meant
 */
export function parseTopicPattern(text: string): TopicPattern {
  assertName('routing pattern', text);
  const words = topicWords(text);
  for (const word of words) {
    if (word.length > 1 && /[*#]/.test(word)) {
      throw new InvalidNameError(
        'routing pattern',
        text,
        `has ${JSON.stringify(word)}: \`*\` (one word) and \`#\` (any number of words) stand alone between dots`,
      );
    }
  }
  return { text, words, isExact: !words.includes('*') && !words.includes('#') };
}

/**
 * Refuses what AMQP cannot carry as an exchange, queue or routing-key name.
 * @throws InvalidNameError (SVC_COMM_INVALID_NAME)
 */
export function assertName(what: string, value: string): void {
  if (typeof value !== 'string') throw new InvalidNameError(what, String(value), 'is not a text');
  const bytes = Buffer.byteLength(value);
  if (bytes > MAX_BYTES) throw new InvalidNameError(what, value, `has ${bytes} bytes, the limit is ${MAX_BYTES}`);
  if (/\p{Cc}/u.test(value)) throw new InvalidNameError(what, value, 'has a control character');
}

/** The words of a routing key. As in RabbitMQ the empty key has none: `#` takes it, `*` does not. */
export const topicWords = (key: string): string[] => (key === '' ? [] : key.split('.'));

/**
 * A test of routing keys (as `topicWords`) against one pattern, in time linear in the key's words.
 *
 * Bit i of the state says that the key's words so far can be taken by the first i words of the pattern that are not `#`;
 * a `#` is a loop on the bit where it stands. No backtracking, whatever the pattern.
 */
export function topicMatcher(pattern: TopicPattern): (keyWords: readonly string[]) => boolean {
  let anyWord = 0n;
  let loops = 0n;
  let bit = 1n;
  const literals = new Map<string, bigint>();
  for (const word of pattern.words) {
    if (word === '#') {
      loops |= bit;
      continue;
    }
    if (word === '*') anyWord |= bit;
    else literals.set(word, (literals.get(word) ?? 0n) | bit);
    bit <<= 1n;
  }
  const accepted = bit;
  return (keyWords) => {
    let state = 1n;
    for (const word of keyWords) {
      const steps = anyWord | (literals.get(word) ?? 0n);
      state = ((state & steps) << 1n) | (state & loops);
      if (state === 0n) return false;
    }
    return (state & accepted) !== 0n;
  };
}

/** Whether a topic exchange would route this key by this pattern. */
export const matchesTopic = (pattern: TopicPattern, routingKey: string): boolean =>
  topicMatcher(pattern)(topicWords(routingKey));

/** Whether there is a routing key that both patterns, given as their words, take. */
export function overlap(a: readonly string[], b: readonly string[]): boolean {
  // reached[j]: some text is taken by the words of `a` so far and by the first j words of `b`.
  let reached = closed([true, ...b.map(() => false)], b);
  for (const word of a) {
    const both = reached.map((stays, j) => {
      // `#` of `a` takes nothing, or whatever `b` takes between two places; one of `b` takes this word of `a`.
      if (word === '#') return reached.slice(0, j + 1).includes(true);
      return (stays && b[j] === '#') || (reached[j - 1] === true && isOneWord(word, b[j - 1]));
    });
    reached = closed(both, b);
  }
  return reached.at(-1) === true;
}

/** Whether there is a word that both words of patterns take. */
const isOneWord = (a: string, b: string | undefined): boolean => a === '*' || b === '*' || a === b;

/** Where the words of a pattern can be, when each `#` may also take nothing. */
function closed(reached: readonly boolean[], words: readonly string[]): boolean[] {
  const result = [...reached];
  for (const [j, word] of words.entries()) if (word === '#' && result[j]) result[j + 1] = true;
  return result;
}

/**
 * Orders patterns, the most specific first. Words are compared from the left and the first difference in kind decides:
 * a literal before `*`, `*` before the end of the pattern, the end before `#`. Patterns alike in all this can only take
 * the same key behind a `#` (`#.a.#` and `#.b.#`); alphabetical order decides between them.
 */
export function compareTopicPatterns(a: TopicPattern, b: TopicPattern): number {
  const at = firstDifference(a, b);
  if (at !== undefined) return rank(b.words[at]) - rank(a.words[at]);
  return a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
}

/** The index of the first word in which two patterns differ in kind; undefined when they are alike. */
export function firstDifference(a: TopicPattern, b: TopicPattern): number | undefined {
  const length = Math.max(a.words.length, b.words.length);
  for (let i = 0; i < length; i += 1) if (rank(a.words[i]) !== rank(b.words[i])) return i;
  return undefined;
}

function rank(word: string | undefined): number {
  if (word === '#') return 0;
  if (word === undefined) return 1;
  return word === '*' ? 2 : 3;
}
