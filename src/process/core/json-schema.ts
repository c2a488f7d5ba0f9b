import { createRequire } from 'node:module';
import type * as library from '@cfworker/json-schema';
import type { OutputUnit, Schema, Validator } from '@cfworker/json-schema';
import { failureOf } from '../../task/process-message.ts';
import { type ProcessStep, validation } from '../step.ts';

/** `[jsonSchema, [{ type: object, … }]]`, draft 2020-12. References lead only into the schema itself. */
export const jsonSchema: ProcessStep = validation(
  { description: 'The body is as a JSON Schema says.' },
  ({ body }, schema: Schema) => {
    const { first, all } = validatorsOf(schema);
    const { valid, errors } = first.validate(body);
    return valid || textOf(allErrors(all, body) ?? errors);
  },
  ([schema]) => {
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return EXPECTED;
    const problem = schemaProblem(schema);
    return problem === undefined ? undefined : `${EXPECTED}: ${problem}`;
  },
);

const EXPECTED = 'a JSON Schema, draft 2020-12';
/** Definitions are looked at without waiting. */
const require = createRequire(import.meta.url);
/** Loaded when it is first needed: most processes have none. */
const load = () => require('@cfworker/json-schema') as typeof library;

/** The library writes into the schema, which is its author's and may be frozen. */
function copyOf(schema: object): Schema {
  const copy = JSON.parse(JSON.stringify(schema)) as Schema;
  for (const part of Object.values(load().dereference(copy))) if (typeof part === 'object') boundUniqueItems(part);
  return copy;
}

/** Elements of a list that `uniqueItems` compares: each with each, of which one may be as long as the body. */
const MOST_COMPARED = Object.freeze({ scalars: 5_000, others: 200 });

/** Longer lists are refused before they are compared. */
function boundUniqueItems(part: Schema): void {
  if (!part.uniqueItems) return;
  delete part.uniqueItems;
  const upTo = (most: number): Schema => ({
    if: { maxItems: most },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { uniqueItems: true },
    else: { maxItems: most },
  });
  const bounded: Schema = {
    // By `not`, since elements that an `if` has looked at are none for `unevaluatedItems` any more.
    if: { not: { items: { type: ['null', 'boolean', 'number', 'string'] } } },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: upTo(MOST_COMPARED.others),
    else: upTo(MOST_COMPARED.scalars),
  };
  part.allOf = [...(part.allOf ?? []), bounded];
}

/** What would be found with the first body that comes to it. */
function schemaProblem(schema: object): string | undefined {
  try {
    const lookup = load().dereference(JSON.parse(JSON.stringify(schema)) as Schema);
    for (const part of Object.values(lookup)) {
      if (typeof part !== 'object') continue;
      const { $ref, __absolute_ref__: target, pattern, patternProperties = {} } = part;
      if (target !== undefined && lookup[target] === undefined) return `$ref ${$ref} leads to nothing in it`;
      for (const source of Object.keys(patternProperties)) new RegExp(source, 'u');
      if (pattern !== undefined) new RegExp(pattern, 'u');
    }
    return undefined;
  } catch (error) {
    return failureOf(error).message;
  }
}

interface Validators {
  /** Ends a list or an object at what is wrong in it first. */
  readonly first: Validator;
  readonly all: Validator;
}

const validators = new WeakMap<object, Validators>();

function validatorsOf(schema: Schema): Validators {
  const known = validators.get(schema);
  if (known) return known;
  const { Validator } = load();
  const copy = copyOf(schema);
  const made = { first: new Validator(copy, '2020-12', true), all: new Validator(copy, '2020-12', false) };
  validators.set(schema, made);
  return made;
}

/** @returns undefined when they are too many: the library hands them on as arguments of a call, each for itself */
function allErrors(all: Validator, body: unknown): readonly OutputUnit[] | undefined {
  try {
    return all.validate(body).errors;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const MOST_TOLD = 10;
/** At the same place, what is wrong is told behind them. */
const PASSED_ON: ReadonlySet<string> = new Set(['$ref', 'allOf', 'if']);

function textOf(errors: readonly OutputUnit[]): string {
  return innermost(errors)
    .slice(0, MOST_TOLD)
    .map(({ instanceLocation, error }) => `${instanceLocation.replace(/^#\/?/, '') || 'body'}: ${error}`)
    .join('; ');
}

/** Those above them only say that something further in is wrong; what is further in comes behind. */
function innermost(errors: readonly OutputUnit[]): readonly OutputUnit[] {
  const above = new Set<string>();
  const isInner = ({ instanceLocation: at, keyword }: OutputUnit): boolean => {
    const isAbove = above.has(at);
    // Where one is known, those above it are.
    for (let end = at.lastIndexOf('/'); end !== -1; end = at.lastIndexOf('/', end - 1)) {
      const parent = at.slice(0, end);
      if (above.has(parent)) break;
      above.add(parent);
    }
    return keyword === 'required' || !(isAbove || PASSED_ON.has(keyword));
  };
  return errors.toReversed().filter(isInner).toReversed();
}
