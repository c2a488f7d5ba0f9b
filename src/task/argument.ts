import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type ArgumentProblem, InvalidArgumentError, InvalidTaskArgumentsError } from '../errors.ts';
import { standardJsonSchema } from '../message/json-schema.ts';
import { assertKnownNames, assertObject, kindOf } from '../util/assert-object.ts';
import { COERCIONS, shown } from './coerce.ts';
import { describeJsonSchema } from './described-schema.ts';

export const ARGUMENT_TYPES = ['INTEGER', 'FLOAT', 'STRING', 'BOOLEAN', 'LIST', 'DICT'] as const;
export type ArgumentType = (typeof ARGUMENT_TYPES)[number];

/** One declared argument. `Value` is what the handler gets, `Required` whether a caller must give it. */
export interface Argument<Value = unknown, Required extends boolean = boolean> {
  readonly type: ArgumentType;
  readonly description: string;
  readonly isRequired: Required;
  readonly default?: Value | undefined;
}

/** An argument as documentation shows it. */
export interface ArgumentDescription {
  readonly name: string;
  readonly type: ArgumentType;
  readonly isRequired: boolean;
  readonly description: string;
  readonly default?: unknown;
}

export interface ArgumentOptions<Value> {
  /** @default true, false when there is a default */
  readonly required?: boolean;
  /** What the handler gets when the caller gives none. */
  readonly default?: Value;
}

export type Arguments = Readonly<Record<string, Argument>>;
export type ArgumentsSchema = Arguments | StandardSchemaV1;

type Simplify<T> = { [K in keyof T]: T[K] };
type ValueOf<A> = A extends Argument<infer Value> ? Value : never;
type RequiredNames<A> = { [K in keyof A]: A[K] extends Argument<unknown, true> ? K : never }[keyof A];

/** What `start` takes. */
export type ArgumentsInput<A> = A extends StandardSchemaV1
  ? StandardSchemaV1.InferInput<A>
  : Simplify<
      { [K in RequiredNames<A>]: ValueOf<A[K]> } & { [K in Exclude<keyof A, RequiredNames<A>>]?: ValueOf<A[K]> }
    >;

/** What the handler gets. */
export type ArgumentsOutput<A> = A extends StandardSchemaV1
  ? StandardSchemaV1.InferOutput<A>
  : {
      [K in keyof A]: A[K] extends { readonly isRequired: false; readonly default?: undefined }
        ? ValueOf<A[K]> | undefined
        : ValueOf<A[K]>;
    };

interface Maker<Value> {
  (description?: string): Argument<Value, true>;
  (
    description: string,
    options: { readonly default: Value; readonly required?: false },
  ): Argument<Value, false> & { readonly default: Value };
  (
    description: string,
    options: { readonly required: false },
  ): Argument<Value, false> & { readonly default?: undefined };
  (description: string, options: { readonly required?: true }): Argument<Value, true>;
}

const maker = <Value>(type: ArgumentType): Maker<Value> =>
  ((description = '', options: ArgumentOptions<Value> = {}) => {
    const name = `arg.${type.toLowerCase()}`;
    // Options in its place would be shown as one, and mean nothing.
    if (typeof description !== 'string') {
      throw new InvalidArgumentError(name, 'a description, then options', kindOf(description));
    }
    assertKnownNames(`${name} options`, options, ['required', 'default'] satisfies (keyof ArgumentOptions<Value>)[]);
    const { default: value, required = value === undefined } = options;
    // It goes to the handler as it is.
    if (value !== undefined && value !== null && COERCIONS[type](value) === undefined) {
      throw new InvalidArgumentError(`${name} default`, `a value of the type ${type}`, shown(value));
    }
    return { type, description, isRequired: required, default: value };
  }) as Maker<Value>;

/**
 * Declares arguments of a task.
 * @example
 * args: { x: arg.integer('A value of X'), unit: arg.string('Shown behind it', { default: 'm' }) }
 */
export const arg = Object.freeze({
  /** A whole number; `"3"` is 3 and 3.7 is 3, as in the function servers that this one can stand in for. */
  integer: maker<number>('INTEGER'),
  /** A finite number, or its text; a boolean is none. */
  float: maker<number>('FLOAT'),
  /** A text; a number or boolean becomes one. */
  string: maker<string>('STRING'),
  /** A boolean, or true, 1, t, y, yes and false, 0, f, n, no in any case. */
  boolean: maker<boolean>('BOOLEAN'),
  list: maker<readonly unknown[]>('LIST'),
  dict: maker<Readonly<Record<string, unknown>>>('DICT'),
});

/** Some are functions: arktype's. */
export const isStandardSchema = (schema: ArgumentsSchema): schema is StandardSchemaV1 =>
  (typeof schema === 'function' || (typeof schema === 'object' && schema !== null)) && '~standard' in schema;

/** `arg.integer` that is not called, or the name of a type, would be found by nobody before the first start. */
function declared(name: string, argument: unknown): Argument {
  const isOne = typeof argument === 'object' && argument !== null && 'type' in argument && 'isRequired' in argument;
  if (isOne) return argument as Argument;
  throw new InvalidArgumentError(`args.${name}`, 'what arg.integer(…) and its like make', kindOf(argument));
}

/** Of a Standard Schema what its JSON Schema says, where its library tells one. */
export function describeArguments(schema: ArgumentsSchema): readonly ArgumentDescription[] {
  if (isStandardSchema(schema)) return describeJsonSchema(standardJsonSchema(schema));
  assertObject('args', schema, 'an object of arguments, or a Standard Schema');
  return Object.entries(schema).map(([name, argument]) => {
    const { type, isRequired, description, default: value } = declared(name, argument);
    return { name, type, isRequired, description, ...(value === undefined ? {} : { default: value }) };
  });
}

/**
 * The arguments as the handler gets them: checked, coerced, with defaults.
 * Arguments that are not declared are left out, as in the function servers that this one can stand in for.
 * @throws InvalidTaskArgumentsError (SVC_COMM_INVALID_TASK_ARGUMENTS) with every problem
 */
export async function parseArguments(taskName: string, schema: ArgumentsSchema, given: unknown): Promise<unknown> {
  if (isStandardSchema(schema)) return parseBySchema(taskName, schema, given);
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    const problem = { argument: 'arguments', kind: 'invalid', expected: 'an object', got: shown(given) } as const;
    throw new InvalidTaskArgumentsError(taskName, [problem]);
  }
  const problems: ArgumentProblem[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, argument] of Object.entries(schema)) {
    const value = Object.hasOwn(given, name) ? (given as Record<string, unknown>)[name] : undefined;
    if (value !== undefined) {
      const coerced = COERCIONS[argument.type](value);
      if (coerced !== undefined) values[name] = coerced;
      else problems.push({ argument: name, kind: 'invalid', expected: argument.type, got: shown(value) });
    } else if (argument.default !== undefined) values[name] = argument.default;
    else if (argument.isRequired) problems.push({ argument: name, kind: 'missing', expected: argument.type });
  }
  if (problems.length > 0) throw new InvalidTaskArgumentsError(taskName, problems);
  return values;
}

async function parseBySchema(taskName: string, schema: StandardSchemaV1, given: unknown): Promise<unknown> {
  const result = await schema['~standard'].validate(given);
  if (!result.issues) return result.value;
  const problems = result.issues.map(({ path, message }): ArgumentProblem => {
    const keys = (path ?? []).map((part) => String(typeof part === 'object' ? part.key : part));
    const value = keys.reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), given);
    const kind = value === undefined ? 'missing' : 'invalid';
    const got = value === undefined ? undefined : shown(value);
    return { argument: keys.join('.') || 'arguments', kind, expected: message, got };
  });
  throw new InvalidTaskArgumentsError(taskName, problems);
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
