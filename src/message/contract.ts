import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ContractViolationError, InvalidArgumentError } from '../errors.ts';
import { assertObject } from '../util/assert-object.ts';
import { isError } from '../util/thrown.ts';
import { assertName } from '../util/topic-pattern.ts';
import { assertOfArguments, type OfArguments } from './command-arguments.ts';
import { contractRegistry } from './contract-registry.ts';
import type { JsonSchema } from './json-schema.ts';

/** A schema of any library that speaks Standard Schema: zod, valibot, arktype, … (https://standardschema.dev). */
export type Schema<Input = unknown, Output = Input> = StandardSchemaV1<Input, Output>;

/** What is sent: what the schema takes. It travels as it was given. */
export type InputOf<S extends Schema> = StandardSchemaV1.InferInput<S>;
/** What the receiver gets: what the schema makes of it (defaults filled in, texts parsed, …). */
export type OutputOf<S extends Schema> = StandardSchemaV1.InferOutput<S>;

/** What a contract tells people and programs besides its schema. */
export interface ContractDocs {
  /** @default the schema's own description, if it has one */
  readonly description?: string;
  /** For a schema whose library does not tell its JSON Schema: it, of what travels. */
  readonly jsonSchema?: JsonSchema;
}

/** An event of an aggregate, and what its payload is. */
export interface EventContract<S extends Schema = Schema> extends ContractDocs {
  readonly kind: 'event';
  readonly exchange: string;
  /** The event type; with `*` and `#` it is for consuming only. */
  readonly routingKey: string;
  readonly schema: S;
}

/** A command of a service, and what its arguments are. */
export interface CommandContract<S extends Schema = Schema> extends ContractDocs {
  readonly kind: 'command';
  readonly exchange: string;
  readonly routingKey: string;
  readonly schema: S;
}

/** A method of a service: what it is asked with and what it answers. */
export interface CallContract<I extends Schema = Schema, O extends Schema = Schema> extends ContractDocs {
  readonly kind: 'call';
  readonly exchange: string;
  readonly routingKey: string;
  readonly schema: I;
  readonly output: O;
  /** `jsonSchema` of the answer. */
  readonly outputJsonSchema?: JsonSchema;
}

export type Contract = EventContract | CommandContract | CallContract;

/**
 * Says what the payload of an event is, for those who publish it and those who consume it.
 * @example
 * export const userUpdated = event('user', 'update.base', z.object({ userId: z.number() }));
 * await publishAggregateEvent(userUpdated, { userId: 1 }, { key: 1 });
 * messageRouter.consumer(userUpdated)(async ({ userId }, event, context) => {});
 */
export const event = <S extends Schema>(
  aggregate: string,
  eventType: string,
  schema: S,
  docs: ContractDocs = {},
): EventContract<S> =>
  made({
    kind: 'event',
    ...route('event', aggregate, eventType),
    schema: checked('event', schema),
    ...told('event', docs),
  });

/**
 * Says what the arguments of a command are: an object, without a field `meta`.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for a schema that says it takes no object
 * @example
 * export const sendSms = command('sms', 'send', z.object({ phone: z.string(), text: z.string() }));
 * await sendCommand(sendSms, { phone, text }, { timeout: 30 });
 * messageRouter.consumer(sendSms)(async ({ phone, text }, context) => {});
 */
export const command = <S extends Schema>(
  service: string,
  commandName: string,
  schema: S & OfArguments<S>,
  docs: ContractDocs = {},
): CommandContract<S> => {
  const names = route('command', service, commandName);
  const content = { schema: checked<S>('command', schema), ...told('command', docs) };
  assertOfArguments(content.schema, content.jsonSchema);
  return made({ kind: 'command', ...names, ...content });
};

/**
 * Says what a method of a service is asked with, and what it answers.
 * @example
 * export const quote = callable('pricing', 'quote', { input: z.object({ sku: z.string() }), output: z.number() });
 * const price = await call(quote, { sku }, { timeout: 2 });
 * messageRouter.consumer(quote)(async ({ sku }) => prices.of(sku));
 */
export const callable = <I extends Schema, O extends Schema>(
  service: string,
  method: string,
  schemas: CallableSchemas<I, O>,
): CallContract<I, O> => {
  const { input, output, outputJsonSchema, ...docs } = { ...schemas };
  return made({
    kind: 'call',
    ...route('callable', service, method),
    schema: checked('callable input', input),
    output: checked('callable output', output),
    ...told('callable', docs),
    ...(outputJsonSchema === undefined
      ? {}
      : { outputJsonSchema: written('callable outputJsonSchema', outputJsonSchema) }),
  });
};

export interface CallableSchemas<I extends Schema, O extends Schema> extends ContractDocs {
  readonly input: I;
  readonly output: O;
  readonly outputJsonSchema?: JsonSchema;
}

/** Recorded, so that documentation and other services learn of it without another line. */
function made<C extends Contract>(contract: C): C {
  Object.freeze(contract);
  contractRegistry.add(contract);
  return contract;
}

function told(what: string, docs: ContractDocs): ContractDocs {
  assertObject(`${what} docs`, docs);
  const { description, jsonSchema } = docs;
  return {
    ...(description === undefined ? {} : { description }),
    ...(jsonSchema === undefined ? {} : { jsonSchema: written(`${what} jsonSchema`, jsonSchema) }),
  };
}

/** As it will be told: one that contains itself would keep all that the service has out of every document. */
function written(argument: string, schema: JsonSchema): JsonSchema {
  try {
    return JSON.parse(JSON.stringify(schema));
  } catch (cause) {
    const [why = ''] = String(isError(cause) ? cause.message : cause).split('\n');
    throw new InvalidArgumentError(argument, 'a JSON Schema, with $ref where it contains itself', why, { cause });
  }
}

export const isContract = (value: unknown): value is Contract =>
  typeof value === 'object' && value !== null && 'kind' in value && 'schema' in value && 'routingKey' in value;

/** What the schema makes of a value, or its own words about what is wrong, each with its path. */
export async function validate<S extends Schema>(
  schema: S,
  value: unknown,
): Promise<{ readonly value: OutputOf<S> } | { readonly issues: readonly string[] }> {
  const result = await schema['~standard'].validate(value);
  if (!result.issues) return { value: result.value as OutputOf<S> };
  return { issues: result.issues.map(issueText) };
}

/** `undefined`, which JSON does not have, travels as null. */
export const travelling = (value: unknown): unknown => (value === undefined ? null : value);

/** `validate` of what has travelled: null is what the schema takes, if it does not take null, for `undefined`. */
export async function validateReceived<S extends Schema>(schema: S, value: unknown): ReturnType<typeof validate<S>> {
  const result = await validate(schema, value);
  if (value !== null || 'value' in result) return result;
  const asNothing = await validate(schema, undefined);
  return 'value' in asNothing ? asNothing : result;
}

/**
 * Refuses what the contract does not allow to be sent: at once, when its schema answers at once.
 * @throws ContractViolationError (SVC_COMM_CONTRACT_VIOLATION)
 */
export function assertSendable(contract: Contract, value: unknown): Promise<void> | void {
  if (/[*#]/.test(contract.routingKey)) {
    const expected = 'a contract of one routing key: patterns are for consuming';
    throw new InvalidArgumentError(contract.kind, expected, contract.routingKey);
  }
  const refuse = ({ issues }: StandardSchemaV1.Result<unknown>): void => {
    if (issues) throw new ContractViolationError(nameOf(contract), issues.map(issueText));
  };
  const result = contract.schema['~standard'].validate(value);
  return result instanceof Promise ? result.then(refuse) : refuse(result);
}

export const nameOf = ({ kind, exchange, routingKey }: Contract): string => `${kind} ${exchange} ${routingKey}`;

function issueText({ message, path = [] }: StandardSchemaV1.Issue): string {
  const at = path.map((part) => String(typeof part === 'object' ? part.key : part)).join('.');
  return at === '' ? message : `${at}: ${message}`;
}

function route(what: string, exchange: string, routingKey: string) {
  assertName('exchange', exchange);
  assertName('routing key', routingKey);
  if (exchange === '') throw new InvalidArgumentError(`${what} exchange`, 'a name', 'an empty text');
  return { exchange, routingKey };
}

function checked<S extends Schema>(what: string, schema: S): S {
  if (typeof schema?.['~standard']?.validate === 'function') return schema;
  throw new InvalidArgumentError(`${what} schema`, 'a Standard Schema (zod, valibot, arktype, …)', typeof schema);
}
