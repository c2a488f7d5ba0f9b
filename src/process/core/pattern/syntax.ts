/** A pattern as a tree. */
export type PatternNode =
  | { readonly kind: 'sign'; readonly takes: SignTest }
  | { readonly kind: 'start' | 'end' }
  | { readonly kind: 'all' | 'any'; readonly items: readonly PatternNode[] }
  | { readonly kind: 'repeat'; readonly item: PatternNode; readonly min: number; readonly max: number };

/** Whether a code point is meant. */
export type SignTest = (code: number) => boolean;

const MOST_REPEATS = 500;
const MOST_DEPTH = 50;
/** Line feed, carriage return, line and paragraph separator: what `.` is not (ECMA-262 §12.3). */
const LINE_ENDS: ReadonlySet<number> = new Set([0x0a, 0x0d, 0x2028, 0x2029]);

/**
 * Reads a regular expression of the plain kind, in JavaScript's spelling: signs, `.`, classes, groups, `|`, `*`, `+`,
 * `?`, `{m,n}`, `^`, `$`. What makes matching slow without end (back references, look-around) is not there.
 * @throws SyntaxError
 */
export function parsePattern(source: string): PatternNode {
  const reader = new Reader(source);
  const node = reader.alternatives(0);
  if (!reader.isDone) throw reader.error('an end');
  return node;
}

class Reader {
  readonly #signs: readonly string[];
  #at = 0;

  constructor(source: string) {
    this.#signs = [...source];
  }

  get isDone(): boolean {
    return this.#at >= this.#signs.length;
  }

  error(expected: string): SyntaxError {
    return new SyntaxError(`expected ${expected} at sign ${this.#at + 1} of the pattern`);
  }

  alternatives(depth: number): PatternNode {
    if (depth > MOST_DEPTH) throw this.error(`at most ${MOST_DEPTH} groups in each other`);
    const items = [this.#sequence(depth)];
    while (this.#take('|')) items.push(this.#sequence(depth));
    return items.length === 1 && items[0] ? items[0] : { kind: 'any', items };
  }

  #sequence(depth: number): PatternNode {
    const items: PatternNode[] = [];
    while (!this.isDone && this.#peek !== '|' && this.#peek !== ')') items.push(this.#repeated(this.#one(depth)));
    return { kind: 'all', items };
  }

  #one(depth: number): PatternNode {
    if (this.#take('^')) return { kind: 'start' };
    if (this.#take('$')) return { kind: 'end' };
    if (this.#take('(')) {
      if (this.#take('?') && !this.#take(':')) throw this.error('(?: or ( : there are no look-arounds');
      const node = this.alternatives(depth + 1);
      if (!this.#take(')')) throw this.error(')');
      return node;
    }
    if (this.#take('[')) return { kind: 'sign', takes: this.#class() };
    if (this.#take('.')) return { kind: 'sign', takes: (code) => !LINE_ENDS.has(code) };
    if (this.#take('\\')) return { kind: 'sign', takes: this.#escaped().takes };
    if ('*+?{}'.includes(this.#peek)) throw this.error('a sign to repeat');
    return { kind: 'sign', takes: is(this.#next()) };
  }

  #repeated(item: PatternNode): PatternNode {
    const [min, max] = this.#count();
    if (min === 1 && max === 1) return item;
    if (item.kind === 'start' || item.kind === 'end') throw this.error('a sign to repeat, not ^ or $');
    // As few or as many as can be: whether it matches is the same.
    this.#take('?');
    return { kind: 'repeat', item, min, max };
  }

  #count(): readonly [number, number] {
    if (this.#take('*')) return [0, Infinity];
    if (this.#take('+')) return [1, Infinity];
    if (this.#take('?')) return [0, 1];
    if (!this.#take('{')) return [1, 1];
    const min = this.#number();
    const max = this.#take(',') ? (this.#peek === '}' ? Infinity : this.#number()) : min;
    if (!this.#take('}')) throw this.error('}');
    if (min > max) throw this.error('a least count that is not above the greatest');
    if (min > MOST_REPEATS || (max !== Infinity && max > MOST_REPEATS))
      throw this.error(`at most ${MOST_REPEATS} times`);
    return [min, max];
  }

  #number(): number {
    let digits = '';
    while (/^\d$/.test(this.#peek) && digits.length < 6) digits += this.#next();
    if (digits === '') throw this.error('a number');
    return Number(digits);
  }

  #class(): SignTest {
    const isNegated = this.#take('^');
    const tests: SignTest[] = [];
    while (!this.#take(']')) {
      const from = this.#classSign();
      if (this.#peek === '-' && this.#signs[this.#at + 1] !== ']' && from.code !== undefined) {
        this.#at += 1;
        const to = this.#classSign();
        if (to.code === undefined || to.code < from.code) throw this.error('a range that goes up');
        const [low, high] = [from.code, to.code];
        tests.push((code) => code >= low && code <= high);
      } else tests.push(from.takes);
    }
    return isNegated ? (code) => !tests.some((takes) => takes(code)) : (code) => tests.some((takes) => takes(code));
  }

  #classSign(): Sign {
    if (this.isDone) throw this.error(']');
    return this.#take('\\') ? this.#escaped() : signOf(this.#next());
  }

  #escaped(): Sign {
    if (this.isDone) throw this.error('a sign behind \\');
    const sign = this.#next();
    const set = SETS.get(sign);
    if (set) return { takes: set };
    if (sign === 'u') return signOf(this.#hex(4));
    if (sign === 'x') return signOf(this.#hex(2));
    const control = CONTROLS.get(sign);
    if (control !== undefined) return signOf(control);
    if (/^[A-Za-z0-9]$/.test(sign)) throw this.error(`an escape that there is, not \\${sign},`);
    return signOf(sign);
  }

  #hex(length: number): string {
    const digits = this.#signs.slice(this.#at, this.#at + length).join('');
    if (!new RegExp(`^[0-9a-f]{${length}}$`, 'i').test(digits)) throw this.error(`${length} hexadecimal digits`);
    this.#at += length;
    return String.fromCodePoint(Number.parseInt(digits, 16));
  }

  get #peek(): string {
    return this.#signs[this.#at] ?? '';
  }

  #next(): string {
    const sign = this.#peek;
    this.#at += 1;
    return sign;
  }

  #take(sign: string): boolean {
    if (this.#signs[this.#at] !== sign) return false;
    this.#at += 1;
    return true;
  }
}

interface Sign {
  /** undefined: several are meant. */
  readonly code?: number;
  readonly takes: SignTest;
}

const codeOf = (sign: string): number => sign.codePointAt(0) ?? 0;
const is = (sign: string): SignTest => {
  const wanted = codeOf(sign);
  return (code) => code === wanted;
};
const signOf = (sign: string): Sign => ({ code: codeOf(sign), takes: is(sign) });

const of =
  (class_: RegExp): SignTest =>
  (code) =>
    class_.test(String.fromCodePoint(code));
const SETS: ReadonlyMap<string, SignTest> = new Map(
  ['d', 'D', 'w', 'W', 's', 'S'].map((letter) => [letter, of(new RegExp(`^\\${letter}$`, 'u'))] as const),
);
const CONTROLS: ReadonlyMap<string, string> = new Map([
  ['t', '\t'],
  ['n', '\n'],
  ['r', '\r'],
  ['f', '\f'],
  ['v', '\v'],
  ['0', '\0'],
]);
