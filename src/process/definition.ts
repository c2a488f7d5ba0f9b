import type { StandardSchemaV1 } from '@standard-schema/spec';
import { ProcessDefinitionError } from '../errors.ts';
import { standardJsonSchema } from '../message/json-schema.ts';
import type { Task } from '../task/definition.ts';
import { markAsOurs } from '../util/other-copies.ts';
import type { StepCatalogue } from './catalogue.ts';
import type {
  AsyncStepDescription,
  FieldDescription,
  JsonSchema,
  ProcessDescription,
  StepDescription,
} from './description.ts';
import { type FieldOptions, resolveFields } from './field.ts';
import { fieldsSchema } from './field-schema.ts';
import { Problems } from './problems.ts';
import { type AsyncStepReference, type StepReference, StepResolver } from './reference.ts';
import type { ProcessStep } from './step.ts';

export interface ProcessMeta {
  /** For people. @default the id */
  readonly name?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  /** What the body must have; it may have more. */
  readonly fields?: readonly FieldOptions[];
}

export interface ProcessOptions {
  /** Its URL: a letter or digit, then up to 59 letters, digits, `_`, `-` and `.`. */
  readonly id: string;
  readonly meta?: ProcessMeta;
  /** What the body must be, as a Standard Schema (zod, valibot, arktype), instead of fields. */
  readonly input?: StandardSchemaV1;
  /** All must hold before anything is done. */
  readonly validations?: readonly StepReference[];
  /** Run in this order while the caller waits. The first that fails ends the instance. */
  readonly tasksSync?: readonly StepReference[];
  /** Submitted together when the synchronous ones are done; workers run them. */
  readonly tasksAsync?: readonly AsyncStepReference[];
}

/** A step with its name in this process and its arguments. */
export interface BoundStep {
  readonly name: string;
  readonly step: ProcessStep;
  readonly args: readonly unknown[];
}

export type When =
  | { readonly kind: 'now' }
  | { readonly kind: 'delay'; readonly ms: number }
  | { readonly kind: 'at'; readonly at: (input: never) => unknown };

export interface AsyncBoundStep extends BoundStep {
  readonly when: When;
  /** What workers run. */
  readonly task: Task<never>;
}

/** A process complete and checked, every step found. */
export interface ProcessDefinition {
  readonly id: string;
  readonly fields: readonly FieldDescription[];
  /** Instead of fields. */
  readonly schema: StandardSchemaV1 | undefined;
  readonly validations: readonly BoundStep[];
  readonly tasksSync: readonly BoundStep[];
  readonly tasksAsync: readonly AsyncBoundStep[];
  readonly description: ProcessDescription;
}

/** A file that a process was read from. */
export interface DefinitionSource {
  readonly file: string;
  readonly lineOf: (path: readonly (string | number)[]) => number | undefined;
}

/** What `defineProcess` gives; steps that it calls by name are found when it is added to a registry. */
export class Process {
  readonly id: string;
  readonly #options: Readonly<Record<string, unknown>>;
  readonly #fields: readonly FieldDescription[];
  readonly #source: DefinitionSource | undefined;

  /** @param source where it was read, for errors */
  constructor(given: unknown, source?: DefinitionSource) {
    const problems = new Problems();
    const options = problems.object(withPlainKeys(given, problems), KEYS) ?? {};
    const { id, input } = options;
    if (typeof id !== 'string' || !ID.test(id)) {
      problems.at('id').add('a letter or digit, then up to 59 letters, digits, _, - and .', id);
    }
    this.#fields = checkMeta(options.meta, problems.at('meta'));
    if (input !== undefined && !isStandardSchema(input)) problems.at('input').add('a Standard Schema', typeof input);
    if (input !== undefined && this.#fields.length > 0) problems.at('input').add('input or meta.fields', 'both');
    this.id = typeof id === 'string' ? id : '';
    this.#options = options;
    this.#source = source;
    this.#assertNone(problems);
  }

  /** @throws ProcessDefinitionError (SVC_COMM_PROCESS_DEFINITION) when a step is not found, or not what it is to be */
  resolve(catalogue: StepCatalogue): ProcessDefinition {
    const { id } = this;
    const { validations, tasksSync, tasksAsync } = this.#options;
    const schema = this.#options.input as StandardSchemaV1 | undefined;
    const meta = (this.#options.meta ?? {}) as ProcessMeta;
    const problems = new Problems();
    const resolver = new StepResolver(id, catalogue);
    const steps = {
      validations: resolver.list('validation', validations, problems.at('validations')),
      tasksSync: resolver.list('task', tasksSync, problems.at('tasksSync')),
      tasksAsync: resolver.asyncList(tasksAsync, problems.at('tasksAsync')),
    };
    this.#assertNone(problems);
    const description: ProcessDescription = {
      id,
      name: meta.name ?? id,
      description: meta.description ?? '',
      tags: meta.tags ?? [],
      fields: this.#fields,
      input: this.#inputSchema(schema),
      validations: steps.validations.map(describeStep),
      tasksSync: steps.tasksSync.map(describeStep),
      tasksAsync: steps.tasksAsync.map(describeAsync),
    };
    return Object.freeze({ id, fields: this.#fields, schema, ...steps, description });
  }

  #assertNone({ all }: Problems): void {
    if (all.length === 0) return;
    const source = this.#source;
    const placed = source ? all.map((problem) => ({ ...problem, line: source.lineOf(problem.path) })) : all;
    throw new ProcessDefinitionError(this.id, placed, source?.file);
  }

  #inputSchema(schema: StandardSchemaV1 | undefined): JsonSchema {
    if (schema) return standardJsonSchema(schema) ?? {};
    return this.#fields.length === 0 ? {} : fieldsSchema(this.#fields);
  }
}

markAsOurs(Process.prototype, 'process', import.meta.url);

const KEYS = ['id', 'meta', 'input', 'validations', 'tasksSync', 'tasksAsync'];
const META_KEYS = ['name', 'description', 'tags', 'fields'];
const ID = /^[A-Za-z0-9][\w.-]{0,59}$/;

/** The spellings of DJProcess, whose registry is Python. */
export const PYTHON_KEYS: ReadonlyMap<string, string> = new Map([
  ['tasks_sync', 'tasksSync'],
  ['tasks_async', 'tasksAsync'],
]);

function withPlainKeys(given: unknown, problems: Problems): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given;
  for (const [python, key] of PYTHON_KEYS) {
    if (Object.hasOwn(given, python) && Object.hasOwn(given, key)) problems.at(key).add(`${key} or ${python}`, 'both');
  }
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [PYTHON_KEYS.get(key) ?? key, value]));
}

function checkMeta(given: unknown, problems: Problems): readonly FieldDescription[] {
  if (given === undefined || given === null) return [];
  const meta = problems.object(given, META_KEYS);
  if (!meta) return [];
  for (const key of ['name', 'description'] as const) {
    if (meta[key] !== undefined && typeof meta[key] !== 'string') problems.at(key).add('a text', meta[key]);
  }
  const { tags = [] } = meta;
  if (!Array.isArray(tags) || tags.some((tag) => typeof tag !== 'string')) problems.at('tags').add('texts', tags);
  return resolveFields(meta.fields, problems.at('fields'));
}

function isStandardSchema(value: unknown): value is StandardSchemaV1 {
  if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false;
  return typeof (value as Partial<StandardSchemaV1>)['~standard']?.validate === 'function';
}

const describeStep = ({ name, step, args }: BoundStep): StepDescription => ({
  name,
  description: step.description,
  args,
  env: step.env,
});

const describeAsync = ({ when, ...step }: AsyncBoundStep): AsyncStepDescription => ({
  ...describeStep(step),
  when: when.kind === 'at' ? { kind: 'at' } : when,
});

/**
 * Defines a business process. Add it to the registry, or export it from a file that the setting `processes` names.
 * @example
 * export const helloWorld = defineProcess({
 *   id: 'hello-world',
 *   meta: { name: 'Hello', fields: [{ name: 'foo', type: 'char', required: true }] },
 *   validations: [['requiredFields', ['foo']]],
 *   tasksSync: [sayHello],
 *   tasksAsync: [sendHelloEmail, [recordHit, { delay: '10m' }]],
 * });
 * @throws ProcessDefinitionError (SVC_COMM_PROCESS_DEFINITION) with everything that is wrong
 */
export const defineProcess = (options: ProcessOptions): Process => new Process(options);
