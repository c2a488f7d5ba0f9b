import { type PatternNode, parsePattern, type SignTest } from './syntax.ts';

type Instruction =
  | { readonly kind: 'sign'; readonly takes: SignTest; readonly next: number }
  | { readonly kind: 'start' | 'end'; readonly next: number }
  | { readonly kind: 'split'; readonly nexts: readonly number[] }
  | { readonly kind: 'match' };

const MOST_INSTRUCTIONS = 2_000;

/** Longest text that is looked at: longer ones do not match. */
export const MOST_SIGNS = 4_096;

/**
 * A regular expression whose time grows with the text and no faster, whatever both are: all ways through it are followed
 * at the same time, sign by sign (Thompson, 1968), so there is nothing to go back to.
 * @throws SyntaxError for what is none, needs more than that, or is too long
 */
export class LinearPattern {
  readonly #program: readonly Instruction[];
  readonly #start: number;

  constructor(source: string) {
    const program: Instruction[] = [{ kind: 'match' }];
    this.#start = compile(parsePattern(source), 0, program);
    this.#program = program;
  }

  /** Whether it is found anywhere in the text, as `RegExp.test` says. */
  test(text: string): boolean {
    if (text.length > MOST_SIGNS * 2) return false;
    const codes = Array.from(text, (sign) => sign.codePointAt(0) ?? 0);
    if (codes.length > MOST_SIGNS) return false;
    let current = new Set<number>();
    for (let at = 0; at <= codes.length; at++) {
      // It may begin at each sign.
      if (this.#follow(this.#start, at, codes.length, current)) return true;
      const next = new Set<number>();
      const code = codes[at];
      if (code === undefined) return false;
      for (const index of current) {
        const instruction = this.#program[index];
        if (instruction?.kind !== 'sign' || !instruction.takes(code)) continue;
        if (this.#follow(instruction.next, at + 1, codes.length, next)) return true;
      }
      current = next;
    }
    return false;
  }

  /** Adds what can be reached without a sign. @returns whether it matches there */
  #follow(from: number, at: number, length: number, into: Set<number>): boolean {
    const pending = [from];
    for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
      if (into.has(index)) continue;
      into.add(index);
      const instruction = this.#program[index];
      if (instruction?.kind === 'match') return true;
      if (instruction?.kind === 'split') pending.push(...instruction.nexts);
      const isThere = instruction?.kind === 'start' ? at === 0 : instruction?.kind === 'end' && at === length;
      if (isThere && (instruction?.kind === 'start' || instruction?.kind === 'end')) pending.push(instruction.next);
    }
    return false;
  }
}

/** Written from the end: each knows what comes behind it. @returns where it begins */
function compile(node: PatternNode, next: number, program: Instruction[]): number {
  switch (node.kind) {
    case 'sign':
      return add(program, { ...node, next });
    case 'start':
    case 'end':
      return add(program, { kind: node.kind, next });
    case 'all':
      return node.items.reduceRight((behind, item) => compile(item, behind, program), next);
    case 'any':
      return add(program, { kind: 'split', nexts: node.items.map((item) => compile(item, next, program)) });
    case 'repeat':
      return repeat(node, next, program);
    default:
      return node satisfies never;
  }
}

function repeat(
  { item, min, max }: PatternNode & { readonly kind: 'repeat' },
  next: number,
  program: Instruction[],
): number {
  let start = next;
  if (max === Infinity) {
    const nexts = [next];
    start = add(program, { kind: 'split', nexts });
    nexts.push(compile(item, start, program));
  } else {
    for (let n = min; n < max; n++)
      start = add(program, { kind: 'split', nexts: [next, compile(item, start, program)] });
  }
  for (let n = 0; n < min; n++) start = compile(item, start, program);
  return start;
}

function add(program: Instruction[], instruction: Instruction): number {
  if (program.length >= MOST_INSTRUCTIONS) throw new SyntaxError('the pattern is too long, counts multiplied');
  return program.push(instruction) - 1;
}
