import { type Finding, innermost, MOST_TOLD } from './findings.ts';

/** What is known of a value and a schema. */
export interface Result {
  /** What is wrong; nothing: it is valid. */
  readonly found: readonly Finding[];
  /** Members and elements that `unevaluatedProperties` and `unevaluatedItems` are not for any more. */
  readonly seen: ReadonlySet<string | number>;
}

export const VALID: Result = Object.freeze({ found: Object.freeze([]), seen: new Set<never>() });
export const isValid = ({ found }: Result): boolean => found.length === 0;
export const invalid = (found: readonly Finding[]): Result => ({ found, seen: VALID.seen });

/** What becomes known of a value and a schema. */
export class Outcome {
  readonly #found: Finding[] = [];
  readonly #seen: Set<string | number> | undefined;

  /** @param needsSeen whether anybody asks */
  constructor(needsSeen: boolean) {
    this.#seen = needsSeen ? new Set() : undefined;
  }

  get seen(): ReadonlySet<string | number> {
    return this.#seen ?? VALID.seen;
  }

  /** No more is told. */
  get isFull(): boolean {
    return this.#found.length >= MOST_TOLD;
  }

  /** What another schema says of the same value. */
  add({ found, seen }: Result): void {
    this.#found.push(...found);
    for (const one of seen) this.#seen?.add(one);
  }

  /** What a schema says of a member or an element. */
  addInside(name: string | number, { found }: Result): void {
    this.#found.push(...found);
    this.#seen?.add(name);
  }

  fail(found: readonly Finding[]): void {
    this.#found.push(...found);
  }

  result(): Result {
    // A schema that does not hold has seen nothing.
    if (this.#found.length > 0) return invalid(innermost(this.#found));
    return this.seen.size === 0 ? VALID : { found: [], seen: this.seen };
  }
}
