import type { JsonSchema } from '../message/json-schema.ts';
import type { ArgumentDescription, ArgumentType } from './argument.ts';

const TYPES: Readonly<Record<string, ArgumentType>> = {
  integer: 'INTEGER',
  number: 'FLOAT',
  string: 'STRING',
  boolean: 'BOOLEAN',
  array: 'LIST',
  object: 'DICT',
};

/**
 * The members of an object's JSON Schema, in the six words that arguments have. A member that says nothing of its type, or
 * may have several, is a DICT: whatever JSON can carry.
 */
export function describeJsonSchema(schema: JsonSchema | undefined): readonly ArgumentDescription[] {
  const root = resolved(schema, schema);
  const { properties, required } = root;
  if (!isSchema(properties)) return [];
  const names = Array.isArray(required) ? required : [];
  return Object.entries(properties).map(([name, given]) => {
    const member = resolved(isSchema(given) ? given : {}, schema);
    const { description, default: value } = member;
    return {
      name,
      type: typeOf(member, schema),
      isRequired: names.includes(name) && value === undefined,
      description: typeof description === 'string' ? description : '',
      ...(value === undefined ? {} : { default: value }),
    };
  });
}

const isSchema = (value: unknown): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `T | null` is a T that may be left out: null is no type of its own here. */
function typeOf(member: JsonSchema, root: JsonSchema | undefined): ArgumentType {
  const { type, enum: values, anyOf, oneOf } = member;
  const choices = [anyOf, oneOf].find(Array.isArray) as readonly unknown[] | undefined;
  const named = 'const' in member ? [member.const] : Array.isArray(values) ? values : undefined;
  const found = choices
    ? choices.filter(isSchema).map((one) => resolved(one, root).type)
    : type === undefined && named
      ? named.map(jsonTypeOf)
      : [type].flat();
  const types = [...new Set(found.filter((one) => one !== 'null'))];
  const isNumber = types.length === 2 && types.every((one) => one === 'integer' || one === 'number');
  if (isNumber) return 'FLOAT';
  return (types.length === 1 ? TYPES[String(types[0])] : undefined) ?? 'DICT';
}

function jsonTypeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

/** Follows references within the schema; one that leads in a circle or out of it is left as it is. */
function resolved(schema: JsonSchema | undefined, root: JsonSchema | undefined): JsonSchema {
  let at = schema ?? {};
  for (let hops = 0; typeof at.$ref === 'string' && at.$ref.startsWith('#') && hops < 10; hops++) {
    const path = at.$ref.slice(1).split('/').slice(1);
    const next = path.reduce<unknown>((here, key) => (isSchema(here) ? here[unescaped(key)] : undefined), root);
    if (!isSchema(next)) break;
    const { $ref: _, ...beside } = at;
    at = { ...next, ...beside };
  }
  return at;
}

const unescaped = (key: string): string => key.replaceAll('~1', '/').replaceAll('~0', '~');
