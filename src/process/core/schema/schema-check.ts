import type { Schema } from '@cfworker/json-schema';
import { BODY, type Finding, type Place } from './findings.ts';
import { load } from './library.ts';
import { invalid, isValid, Outcome, type Result, VALID } from './outcome.ts';
import { type AnySchema, Part } from './part.ts';

/**
 * Holds bodies to a JSON Schema, draft 2020-12, in time that is in step with the body: what a `$ref` leads to is held to
 * each place of it once. The library, which is asked for what does not lead on to other schemas, does so again for each
 * of several alternatives, for each of those within, and so on.
 */
export class SchemaCheck {
  readonly #schema: Schema;
  readonly #lookup: Readonly<Record<string, AnySchema>>;
  readonly #parts = new Map<Schema, Part>();
  readonly needsSeen: boolean;

  /** @param schema the library writes into it */
  constructor(schema: Schema) {
    this.#schema = schema;
    this.#lookup = load().dereference(schema);
    this.needsSeen = Object.values(this.#lookup).some(
      (part) => typeof part === 'object' && ('unevaluatedProperties' in part || 'unevaluatedItems' in part),
    );
  }

  /** @returns what is wrong with it, the first few; nothing: it is valid */
  check(body: unknown): readonly Finding[] {
    return new Walk(this).look(body, this.#schema, BODY).found;
  }

  partOf(schema: Schema): Part {
    let part = this.#parts.get(schema);
    if (!part) {
      part = new Part(schema);
      this.#parts.set(schema, part);
    }
    return part;
  }

  targetOf({ $ref = '', __absolute_ref__: target = $ref }: Schema): AnySchema {
    const schema = this.#lookup[target];
    if (schema === undefined) throw new Error(`$ref ${$ref} leads to nothing in it`);
    return schema;
  }
}

/** One body on its way through the schema. */
class Walk {
  readonly #check: SchemaCheck;
  /** By what a `$ref` leads to, and the object or list that was held to it. */
  readonly #known = new Map<AnySchema, Map<object, Result>>();

  constructor(check: SchemaCheck) {
    this.#check = check;
  }

  /** @param at where the value stands in the body */
  look(value: unknown, schema: AnySchema, at: Place): Result {
    if (schema === true) return VALID;
    if (schema === false) return invalid([{ at, keyword: 'false', error: 'False boolean schema.' }]);
    const outcome = new Outcome(this.#check.needsSeen);
    this.#value(value, schema, at, outcome);
    if (Array.isArray(value)) this.#elements(value, schema, at, outcome);
    else if (isObject(value)) this.#members(value, schema, at, outcome);
    return outcome.result();
  }

  #follow(value: unknown, schema: Schema, at: Place): Result {
    const target = this.#check.targetOf(schema);
    if (typeof value !== 'object' || value === null) return this.look(value, target, at);
    const known = this.#known.get(target) ?? new Map<object, Result>();
    this.#known.set(target, known);
    const result = known.get(value) ?? this.look(value, target, at);
    known.set(value, result);
    return result;
  }

  #value(value: unknown, schema: Schema, at: Place, outcome: Outcome): void {
    const { $ref, not, anyOf, allOf = [], oneOf } = schema;
    const part = this.#check.partOf(schema);
    if ($ref !== undefined) outcome.add(this.#follow(value, schema, at));
    outcome.fail(part.check(value, at));
    if (not !== undefined && isValid(this.look(value, not, at))) {
      outcome.fail([{ at, keyword: 'not', error: 'Instance matched "not" schema.' }]);
    }
    if (anyOf !== undefined) this.#anyOf(value, anyOf, at, outcome);
    for (const one of allOf) outcome.add(this.look(value, one, at));
    if (oneOf !== undefined) this.#oneOf(value, oneOf, at, outcome);
    if (schema.if !== undefined) {
      const condition = this.look(value, schema.if, at);
      if (isValid(condition)) outcome.add(condition);
      const next = isValid(condition) ? schema.then : schema.else;
      if (next !== undefined) outcome.add(this.look(value, next, at));
    }
    if (!isObject(value)) return;
    for (const [name, dependent] of part.dependent) {
      if (Object.hasOwn(value, name)) outcome.add(this.look(value, dependent, at));
    }
  }

  #anyOf(value: unknown, alternatives: readonly AnySchema[], at: Place, outcome: Outcome): void {
    const wrong = [{ at, keyword: 'anyOf', error: 'Instance does not match any subschemas.' }];
    let isAny = false;
    for (const one of alternatives) {
      const result = this.look(value, one, at);
      wrong.push(...result.found);
      if (!isValid(result)) continue;
      isAny = true;
      outcome.add(result);
      // The others could only tell what they have seen.
      if (!this.#check.needsSeen) return;
    }
    if (!isAny) outcome.fail(wrong);
  }

  #oneOf(value: unknown, alternatives: readonly AnySchema[], at: Place, outcome: Outcome): void {
    const results = alternatives.map((one) => this.look(value, one, at));
    const matches = results.filter(isValid);
    if (matches.length === 1) {
      for (const match of matches) outcome.add(match);
      return;
    }
    outcome.fail([
      { at, keyword: 'oneOf', error: `Instance does not match exactly one subschema (${matches.length} matches).` },
    ]);
    // Where several hold, nothing is wrong with the others.
    if (matches.length === 0) outcome.fail(results.flatMap(({ found }) => found));
  }

  #members(object: Readonly<Record<string, unknown>>, schema: Schema, at: Place, outcome: Outcome): void {
    const { properties = {}, additionalProperties, unevaluatedProperties, propertyNames } = schema;
    const names = Object.keys(object);
    const below = (name: string): Place => ({ above: at, name });
    if (propertyNames !== undefined) {
      for (const name of names) {
        if (!outcome.isFull) outcome.fail(this.look(name, propertyNames, below(name)).found);
      }
    }
    const named = new Set<string>();
    const look = (name: string, part: AnySchema): void => {
      named.add(name);
      if (!outcome.isFull) outcome.addInside(name, this.look(object[name], part, below(name)));
    };
    for (const [name, part] of Object.entries(properties)) if (Object.hasOwn(object, name)) look(name, part);
    for (const [pattern, part] of this.#check.partOf(schema).patterns) {
      for (const name of names) if (pattern.test(name)) look(name, part);
    }
    if (additionalProperties !== undefined) {
      for (const name of names) if (!named.has(name)) look(name, additionalProperties);
    }
    if (unevaluatedProperties !== undefined) {
      for (const name of names) if (!outcome.seen.has(name)) look(name, unevaluatedProperties);
    }
  }

  #elements(list: readonly unknown[], schema: Schema, at: Place, outcome: Outcome): void {
    const { items, prefixItems = [], additionalItems, contains, unevaluatedItems } = schema;
    // A list of `items` is as it was before 2020-12.
    const [first, rest] = Array.isArray(items) ? [items, additionalItems] : [prefixItems, items];
    const look = (index: number, part: AnySchema): void =>
      outcome.addInside(index, this.look(list[index], part, { above: at, name: index }));
    for (let index = 0; index < list.length && !outcome.isFull; index++) {
      const part = index < first.length ? first[index] : rest;
      if (part !== undefined) look(index, part);
    }
    if (contains !== undefined) this.#contains(list, contains, schema, at, outcome);
    if (unevaluatedItems === undefined) return;
    for (let index = 0; index < list.length && !outcome.isFull; index++) {
      if (!outcome.seen.has(index)) look(index, unevaluatedItems);
    }
  }

  #contains(list: readonly unknown[], part: AnySchema, schema: Schema, at: Place, outcome: Outcome): void {
    const { minContains = 1, maxContains = Number.POSITIVE_INFINITY } = schema;
    let matches = 0;
    for (const [index, element] of list.entries()) {
      const result = this.look(element, part, { above: at, name: index });
      if (!isValid(result)) continue;
      matches += 1;
      outcome.addInside(index, result);
    }
    if (matches >= minContains && matches <= maxContains) return;
    const wanted = matches < minContains ? `at least ${minContains}` : `at most ${maxContains}`;
    outcome.fail([
      { at, keyword: 'contains', error: `Array has ${matches} items that "contains" is for, not ${wanted}.` },
    ]);
  }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
