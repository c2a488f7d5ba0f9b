import type { Schema } from '@cfworker/json-schema';
import { failureOf } from '../../task/process-message.ts';
import { type ProcessStep, validation } from '../step.ts';
import { textOf } from './schema/findings.ts';
import { load } from './schema/library.ts';
import { SchemaCheck } from './schema/schema-check.ts';

/** `[jsonSchema, [{ type: object, … }]]`, draft 2020-12. References lead only into the schema itself. */
export const jsonSchema: ProcessStep = validation(
  { description: 'The body is as a JSON Schema says.' },
  ({ body }, schema: Schema) => {
    const found = checkOf(schema).check(body);
    return found.length === 0 || textOf(found);
  },
  ([schema]) => {
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) return EXPECTED;
    const problem = schemaProblem(schema);
    return problem === undefined ? undefined : `${EXPECTED}: ${problem}`;
  },
);

const EXPECTED = 'a JSON Schema, draft 2020-12';

/** The library writes into the schema, which is its author's and may be frozen. */
const copyOf = (schema: object): Schema => JSON.parse(JSON.stringify(schema)) as Schema;

/** What would be found with the first body that comes to it. */
function schemaProblem(schema: object): string | undefined {
  try {
    const lookup = load().dereference(copyOf(schema));
    for (const part of Object.values(lookup)) {
      if (typeof part !== 'object') continue;
      const { $ref, __absolute_ref__: target, pattern, patternProperties = {} } = part;
      if (target !== undefined && lookup[target] === undefined) return `$ref ${$ref} leads to nothing in it`;
      for (const word of NOT_FOLLOWED) if (typeof part[word] === 'string') return `${word} is not followed: write $ref`;
      for (const source of Object.keys(patternProperties)) new RegExp(source, 'u');
      if (pattern !== undefined) new RegExp(pattern, 'u');
    }
    return undefined;
  } catch (error) {
    return failureOf(error).message;
  }
}

const NOT_FOLLOWED = ['$dynamicRef', '$recursiveRef'] as const;

const checks = new WeakMap<object, SchemaCheck>();

function checkOf(schema: Schema): SchemaCheck {
  const known = checks.get(schema);
  if (known) return known;
  const made = new SchemaCheck(copyOf(schema));
  checks.set(schema, made);
  return made;
}
