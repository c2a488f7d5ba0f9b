import { InvalidArgumentError } from '../errors.ts';
import type { InputOf, Schema } from './contract.ts';
import { type JsonSchema, standardJsonSchema } from './json-schema.ts';

/**
 * What a command's schema has to be besides a schema: one of objects, since arguments travel as the fields of the body,
 * and without a field `meta`, which has its place beside them. Adds nothing to one that is.
 */
export type OfArguments<S extends Schema> = [NoArguments<InputOf<S>>] extends [never]
  ? unknown
  : { readonly "the arguments of a command are an object without a field 'meta'": never };

/** What of it can be no arguments. Of `any` and `unknown` nobody knows. */
type NoArguments<Input> = unknown extends Input ? never : Refused<Input>;
type Refused<Input> = Input extends object
  ? Input extends readonly unknown[]
    ? Input
    : 'meta' extends NamedKeys<Input>
      ? Input
      : never
  : Input;

/** Without those of an index signature: `meta` is not named by it. */
type NamedKeys<T> = keyof { [Key in keyof T as string extends Key ? never : Key]: true };

/**
 * The same where types do not tell: of what the schema's library tells of it as JSON Schema.
 * @param told a JSON Schema that was given beside it
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function assertOfArguments(schema: Schema, told: JsonSchema | undefined): void {
  const json = told ?? standardJsonSchema(schema);
  if (json === undefined) return;
  if (isNeverObject(json)) {
    const expected = "a schema of an object: a command's arguments are the fields of its body";
    const got = json.type === undefined ? 'one that takes none' : `one of type ${[json.type].flat().join(' or ')}`;
    throw new InvalidArgumentError('command schema', expected, got);
  }
  const { properties } = json;
  if (typeof properties === 'object' && properties !== null && Object.hasOwn(properties, 'meta')) {
    const expected = 'a schema without a field "meta": the wire format has its own beside the arguments';
    throw new InvalidArgumentError('command schema', expected, 'one with it');
  }
}

/** Whether it takes no object at all, as far as it says so of itself. */
function isNeverObject(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return schema === false;
  const { type, anyOf, oneOf, allOf, enum: values } = schema as JsonSchema;
  if (type !== undefined) return ![type].flat().includes('object');
  if ('const' in schema) return !isObject(schema.const);
  return (
    [anyOf, oneOf].some((each) => Array.isArray(each) && each.length > 0 && each.every(isNeverObject)) ||
    (Array.isArray(allOf) && allOf.some(isNeverObject)) ||
    (Array.isArray(values) && !values.some(isObject))
  );
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
