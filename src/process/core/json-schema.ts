import { createRequire } from 'node:module';
import type * as library from '@cfworker/json-schema';
import type { OutputUnit, Schema, Validator } from '@cfworker/json-schema';
import { failureOf } from '../../task/process-message.ts';
import { type ProcessStep, validation } from '../step.ts';

/** `[jsonSchema, [{ type: object, … }]]`, draft 2020-12. References lead only into the schema itself. */
export const jsonSchema: ProcessStep = validation(
  { description: 'The body is as a JSON Schema says.' },
  ({ body }, schema: Schema) => {
    const { valid, errors } = validatorOf(schema).validate(body);
    return valid || textOf(errors);
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

/** It writes into the schema, which is its author's and may be frozen. */
const copyOf = (schema: object): Schema => JSON.parse(JSON.stringify(schema)) as Schema;

/** What would be found with the first body that comes to it. */
function schemaProblem(schema: object): string | undefined {
  try {
    const lookup = load().dereference(copyOf(schema));
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

const validators = new WeakMap<object, Validator>();

function validatorOf(schema: Schema): Validator {
  const known = validators.get(schema);
  if (known) return known;
  const made = new (load().Validator)(copyOf(schema), '2020-12', false);
  validators.set(schema, made);
  return made;
}

const MOST_TOLD = 10;

/** The innermost ones: those above them only say that something further in is wrong. */
function textOf(errors: readonly OutputUnit[]): string {
  const inner = errors.filter(
    ({ instanceLocation: at, keyword }, index) =>
      !errors.slice(index + 1).some((other) => other.instanceLocation.startsWith(`${at}/`)) || keyword === 'required',
  );
  return inner
    .slice(0, MOST_TOLD)
    .map(({ instanceLocation, error }) => `${instanceLocation.replace(/^#\/?/, '') || 'body'}: ${error}`)
    .join('; ');
}
