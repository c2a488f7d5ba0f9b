import type { DefinitionProblem } from '../errors.ts';
import { shown } from '../task/coerce.ts';
import { nearestName } from '../util/nearest.ts';
import { messageOf } from '../util/thrown.ts';
import { encodeJson } from '../wire/json.ts';
import { MAX_REQUEST_DEPTH } from './request.ts';

/** @returns why a value cannot be written as JSON; undefined: it can */
export function jsonProblem(value: unknown): string | undefined {
  try {
    encodeJson(value, 'arguments', MAX_REQUEST_DEPTH);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** What is wrong with a definition, each with the path to it: all of it is told at once. */
export class Problems {
  readonly all: DefinitionProblem[];
  readonly #path: readonly (string | number)[];

  constructor(path: readonly (string | number)[] = [], all: DefinitionProblem[] = []) {
    this.#path = path;
    this.all = all;
  }

  /** The same list, for what is further in. */
  at(...path: readonly (string | number)[]): Problems {
    return new Problems([...this.#path, ...path], this.all);
  }

  add(expected: string, got: unknown): void {
    this.all.push({ path: this.#path, expected, got: got === undefined ? 'nothing' : shown(got) });
  }

  oneOf(known: readonly string[], got: unknown): void {
    const near = typeof got === 'string' ? nearestName(got, known) : undefined;
    this.add(`one of ${known.join(', ')}${near === undefined ? '' : `; did you mean ${near}?`}`, got);
  }

  /** A plain object with known keys only. @returns undefined when it is none */
  object(given: unknown, keys: readonly string[]): Readonly<Record<string, unknown>> | undefined {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      this.add(`an object with ${keys.join(', ')}`, given);
      return undefined;
    }
    for (const key of Object.keys(given)) if (!keys.includes(key)) this.at(key).oneOf(keys, key);
    return given as Readonly<Record<string, unknown>>;
  }
}
