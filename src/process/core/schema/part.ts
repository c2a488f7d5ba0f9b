import type { Schema } from '@cfworker/json-schema';
import { readAs } from '../../field-value.ts';
import type { Finding, Place } from './findings.ts';
import { load } from './library.ts';

/** What is asked of a value by itself; the other keywords lead on to other schemas. */
const ASSERTIONS: readonly string[] = [
  ...['type', 'const', 'enum'],
  ...['required', 'minProperties', 'maxProperties', 'dependentRequired'],
  ...['minItems', 'maxItems', 'uniqueItems'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['minLength', 'maxLength', 'pattern', 'format'],
];

/** Elements of a list that `uniqueItems` compares: each with each, of which one may be as long as the body. */
const MOST_COMPARED = Object.freeze({ scalars: 5_000, others: 200 });

export type AnySchema = Schema | boolean;

/** One object of a schema, without what it leads to. */
export class Part {
  /** Of `patternProperties`. */
  readonly patterns: readonly (readonly [RegExp, AnySchema])[];
  /** Schemas for an object that has the member. */
  readonly dependent: readonly (readonly [string, AnySchema])[];
  readonly #assertions: Schema | undefined;
  readonly #isUrl: boolean;

  constructor(schema: Schema) {
    const { patternProperties = {}, dependentSchemas = {}, dependencies = {} } = schema;
    this.patterns = Object.entries(patternProperties).map(([source, part]) => [new RegExp(source, 'u'), part]);
    // `dependencies` has both, as it was before 2019-09.
    const needed = Object.entries(dependencies);
    const names = needed.filter(([, names]) => Array.isArray(names));
    const schemas = needed.flatMap(([name, part]) => (Array.isArray(part) ? [] : [[name, part] as const]));
    this.dependent = [...Object.entries(dependentSchemas), ...schemas];
    const assertions = Object.fromEntries(Object.entries(schema).filter(([keyword]) => ASSERTIONS.includes(keyword)));
    // No format of the draft. The library's takes twice the time for each letter of a host.
    this.#isUrl = assertions.format === 'url';
    if (this.#isUrl) delete assertions.format;
    if (names.length > 0) assertions.dependencies = Object.fromEntries(names);
    this.#assertions = Object.keys(assertions).length === 0 ? undefined : assertions;
  }

  /** @param at where the value stands in the body */
  check(value: unknown, at: Place): readonly Finding[] {
    const assertions = this.#assertions;
    const found: Finding[] = [];
    if (assertions !== undefined) {
      const { errors } = load().validate(value, bounded(assertions, value), '2020-12', NO_REFERENCES, false);
      for (const { keyword, error } of errors) found.push({ at, keyword, error });
    }
    if (this.#isUrl && typeof value === 'string' && readAs('url', value) === undefined) {
      found.push({ at, keyword: 'format', error: 'String does not match format "url".' });
    }
    return found;
  }
}

const NO_REFERENCES = Object.freeze({});

/** Longer lists are refused before their elements are compared. */
function bounded(assertions: Schema, value: unknown): Schema {
  if (!assertions.uniqueItems || !Array.isArray(value)) return assertions;
  const most = value.some(isNested) ? MOST_COMPARED.others : MOST_COMPARED.scalars;
  if (value.length <= most) return assertions;
  return { ...assertions, uniqueItems: false, maxItems: Math.min(most, assertions.maxItems ?? most) };
}

const isNested = (value: unknown): boolean => typeof value === 'object' && value !== null;
