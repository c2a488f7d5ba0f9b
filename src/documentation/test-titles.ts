/** The title of a test, and those of the `describe` blocks around it, outermost first. */
export interface TestTitle {
  readonly groups: readonly string[];
  readonly title: string;
}

const GROUPS: ReadonlySet<string> = new Set(['describe', 'suite', 'context']);
const TESTS: ReadonlySet<string> = new Set(['it', 'test', 'specify']);
/** What is not run promises nothing. */
const NOT_RUN: ReadonlySet<string> = new Set(['skip', 'todo', 'fails', 'skipIf', 'runIf']);
/** `\xE9`, `\u00e9` and `\u{e9}` with their digits, and every other with its character. */
const ESCAPE = /^\\(?:x([\da-f]{2})|u([\da-f]{4})|u\{([\da-f]{1,6})\}|(.))/is;
/** Line ends and their like; a title is one line. */
const BLANKS: ReadonlySet<string> = new Set(['n', 'r', 't', 'v', 'f', 'b', '0', '\n', '\r']);
/** After these words a slash begins a regular expression, after other words it divides. */
const BEFORE_VALUE: ReadonlySet<string> = new Set([
  'return',
  'typeof',
  'case',
  'in',
  'of',
  'do',
  'else',
  'await',
  'yield',
]);

/**
 * The titles of the tests in a file, read without running it: calls of `it`, `test` and `describe` whose first argument
 * is a text. What is computed in a title shows as `…`. Of a file that is no JavaScript or TypeScript, whatever is found.
 */
export function testTitles(source: string): TestTitle[] {
  const titles: TestTitle[] = [];
  /** Open groups, with the depth of brackets at which each ends; one without a title only counts as not run. */
  const groups: { title: string; depth: number; isRun: boolean }[] = [];
  const scanner = new Scanner(source);
  for (let word = scanner.next(); word !== undefined; word = scanner.next()) {
    for (let last = groups.at(-1); last && last.depth >= scanner.depth; last = groups.at(-1)) groups.pop();
    const isGroup = GROUPS.has(word);
    if (!isGroup && !TESTS.has(word)) continue;
    const depth = scanner.depth;
    const call = scanner.call();
    if (!call) continue;
    const isRun = !call.modifiers.some((name) => NOT_RUN.has(name)) && groups.every((group) => group.isRun);
    if (isGroup) groups.push({ title: call.title, depth, isRun });
    else if (isRun && call.title !== '') titles.push({ groups: groups.map(({ title }) => title), title: call.title });
  }
  return titles;
}

/** Walks over source text, past comments, texts and regular expressions, from word to word. */
class Scanner {
  readonly #text: string;
  #at = 0;
  /** Open brackets of every kind. */
  depth = 0;
  /** What came last, without blanks: tells a regular expression from a division, and a method from a function. */
  #last = '';

  constructor(text: string) {
    this.#text = text;
  }

  /** The next word that is no name of a member. */
  next(): string | undefined {
    while (this.#at < this.#text.length) {
      const isMember = this.#last === '.';
      const word = this.#step();
      if (word !== undefined && !isMember) return word;
    }
    return undefined;
  }

  /** After the name of a function: its modifiers (`.only`, `.each([…])`) and first argument, when that is a text. */
  call(): { readonly modifiers: readonly string[]; readonly title: string } | undefined {
    const modifiers: string[] = [];
    for (;;) {
      this.#blanks();
      const character = this.#text[this.#at];
      if (character === '.') this.#step();
      else if (/[\w$]/.test(character ?? '') && this.#last === '.') modifiers.push(this.#step() ?? '');
      else if (character === '`') this.#step();
      else if (character === '(') {
        const before = this.depth;
        this.#step();
        this.#blanks();
        const title = this.#title();
        if (title !== undefined) return { modifiers, title };
        // `each(…)` and its like: the title is in the next pair.
        if (modifiers.length === 0) return undefined;
        while (this.depth > before && this.#at < this.#text.length) this.#step();
      } else return undefined;
    }
  }

  #blanks(): void {
    while (/\s/.test(this.#text[this.#at] ?? '') || this.#isComment()) this.#step();
  }

  #isComment(): boolean {
    return this.#text.startsWith('//', this.#at) || this.#text.startsWith('/*', this.#at);
  }

  /** Past one token. @returns it, when it is a word */
  #step(): string | undefined {
    const text = this.#text;
    const character = text[this.#at] ?? '';
    if (this.#isComment()) {
      const end = text[this.#at + 1] === '/' ? text.indexOf('\n', this.#at) : text.indexOf('*/', this.#at + 2) + 1;
      this.#at = end <= 0 ? text.length : end + 1;
      return undefined;
    }
    if (/\s/.test(character)) {
      this.#at += 1;
      return undefined;
    }
    if (character === '"' || character === "'" || character === '`') {
      this.#quoted();
      return undefined;
    }
    if (character === '/' && this.#isValueNext()) {
      this.#regularExpression();
      return undefined;
    }
    const [word] = /^[\p{L}$_][\p{L}\p{N}$_]*/u.exec(text.slice(this.#at, this.#at + 100)) ?? [];
    this.#at += word?.length ?? 1;
    if ('([{'.includes(character)) this.depth += 1;
    if (')]}'.includes(character)) this.depth = Math.max(0, this.depth - 1);
    this.#last = word ?? character;
    return word;
  }

  #isValueNext(): boolean {
    return this.#last === '' || /^[^\w$)\]}]$/.test(this.#last) || BEFORE_VALUE.has(this.#last);
  }

  #title(): string | undefined {
    const quote = this.#text[this.#at];
    return quote === '"' || quote === "'" || quote === '`' ? readable(this.#quoted()) : undefined;
  }

  /** Past a text. @returns what is in it, what is computed as `…` */
  #quoted(): string {
    const quote = this.#text[this.#at];
    let content = '';
    for (this.#at += 1; this.#at < this.#text.length; ) {
      const character = this.#text[this.#at] ?? '';
      if (character === quote || (character === '\n' && quote !== '`')) break;
      if (character === '\\') {
        content += this.#escaped();
      } else if (quote === '`' && this.#text.startsWith('${', this.#at)) {
        this.#at += 1;
        const before = this.depth;
        this.#step();
        while (this.depth > before && this.#at < this.#text.length) this.#step();
        content += '…';
      } else {
        content += character;
        this.#at += 1;
      }
    }
    this.#at += 1;
    this.#last = 'text';
    return content;
  }

  /** Past what a backslash begins. @returns the character that it stands for */
  #escaped(): string {
    const [whole, byte, unit, point, one = ''] = ESCAPE.exec(this.#text.slice(this.#at, this.#at + 12)) ?? ['\\'];
    this.#at += whole.length;
    const digits = byte ?? unit ?? point;
    if (digits === undefined) return BLANKS.has(one) ? ' ' : one;
    const code = Number.parseInt(digits, 16);
    return code <= 0x10_ff_ff ? String.fromCodePoint(code) : '';
  }

  #regularExpression(): void {
    let isClass = false;
    for (this.#at += 1; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text[this.#at];
      if (character === '\n') break;
      if (character === '\\') this.#at += 1;
      else if (character === '[') isClass = true;
      else if (character === ']') isClass = false;
      else if (character === '/' && !isClass) break;
    }
    this.#at += 1;
    this.#last = 'text';
  }
}

/** Places of `each` as vitest and jest have them: `%s`, `$name`. */
const readable = (title: string): string =>
  title
    .replaceAll(/%[sdifjoO#p]/g, '…')
    .replaceAll(/\$[\w.]+/g, '…')
    .replaceAll(/\s+/g, ' ')
    .trim();
