import { InvalidArgumentError } from '../errors.ts';
import { assertKnownNames, kindOf } from '../util/assert-object.ts';
import { type Duration, durationMs, keptDurationMs } from '../util/duration.ts';
import { markAsOurs } from '../util/other-copies.ts';
import { asSent } from '../wire/as-sent.ts';
import {
  type ArgumentDescription,
  type Arguments,
  type ArgumentsInput,
  type ArgumentsOutput,
  type ArgumentsSchema,
  describeArguments,
  parseArguments,
} from './argument.ts';
import { taskClient } from './client-source.ts';
import type { TaskContext } from './context.ts';
import type { TaskHandle } from './handle.ts';
import { asGiven } from './new-task.ts';
import type { StartOptions, WaitOptions } from './tasks.ts';

export interface TaskRetryOptions {
  /** Runs in all when the handler throws or its process dies, ≥ 1; a timeout or a cancel is never run again. @default 1 */
  readonly attempts?: number;
  /** Waits between the runs; fewer than attempts - 1: the last repeats. @default ['1s'] */
  readonly delays?: readonly Duration[];
  /** How often it is started again after the worker that ran it died, ≥ 0; then it is LOST. @default 1 */
  readonly handOvers?: number;
}

export interface TaskOptions<Schema extends ArgumentsSchema> {
  /** 1 to 100 letters, digits, `_`, `-` and `.`; a part of URLs. */
  readonly name: string;
  /** @default '' */
  readonly description?: string;
  /** By `arg.integer(…)` and its like, or a Standard Schema (zod, valibot, arktype). @default {} */
  readonly args?: Schema;
  /** Runs at the same time over all workers; 0: no limit. @default 0 */
  readonly maxConcurrency?: number;
  /** A run that is longer is ended; a number is seconds. @default 86_400 */
  readonly timeout?: Duration;
  readonly retry?: TaskRetryOptions;
  /** How long a task that has ended can be asked for; a number is seconds. @default '1d' */
  readonly resultTtl?: Duration;
  /**
   * A start while all places are taken: `reject` it (OverMaxConcurrencyError; what waits has a place already), or
   * `queue` it until there is one. No effect without `maxConcurrency`. @default 'reject'
   */
  readonly onFull?: 'reject' | 'queue';
  /** Environment variables that the task's process gets besides PATH and its like. @default [] */
  readonly env?: readonly string[];
}

/** Options complete and checked. */
export interface TaskDefinition {
  readonly name: string;
  readonly description: string;
  readonly args: readonly ArgumentDescription[];
  /** What `args` was given as. */
  readonly schema: ArgumentsSchema;
  readonly maxConcurrency: number;
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly retryDelaysMs: readonly number[];
  readonly handOvers: number;
  readonly resultTtlMs: number;
  readonly onFull: 'reject' | 'queue';
  /** Sorted, each once. */
  readonly env: readonly string[];
}

export type TaskFunction<Args = unknown, Result = unknown> = (
  args: Args,
  context: TaskContext,
) => Promise<Result> | Result;

export const DEFAULT_TASK_OPTIONS = Object.freeze({
  description: '',
  args: Object.freeze({}),
  maxConcurrency: 0,
  timeout: 86_400,
  attempts: 1,
  delays: Object.freeze(['1s']) as readonly Duration[],
  handOvers: 1,
  resultTtl: '1d' as Duration,
  onFull: 'reject' as const,
  env: Object.freeze([]) as readonly string[],
});

const TASK_OPTIONS: readonly (keyof TaskOptions<ArgumentsSchema>)[] = [
  'name',
  'description',
  'args',
  'maxConcurrency',
  'timeout',
  'retry',
  'resultTtl',
  'onFull',
  'env',
];

/** Node's timers wrap around above it. */
const MAX_TIMER_MS = 2_147_483_647;

/** A task: what it takes, how it is limited, and the function that does it, in a process of its own. */
export class Task<Input = unknown, Result = unknown> {
  readonly definition: TaskDefinition;
  readonly #handler: TaskFunction<never, Result>;

  constructor(definition: TaskDefinition, handler: TaskFunction<never, Result>) {
    this.definition = definition;
    this.#handler = handler;
  }

  get name(): string {
    return this.definition.name;
  }

  /**
   * Submits a run. In a transaction (`transaction()`, a handler, or the one given) it is submitted if and only if that
   * commits.
   * @returns a handle to its state and result
   * @throws InvalidTaskArgumentsError, OverMaxConcurrencyError, TaskConflictError, DatabaseUnavailableError
   * @example const handle = await addition.start({ x: 3, y: 6 });
   */
  async start(args: Input, options: StartOptions = {}): Promise<TaskHandle<Result>> {
    const [given, how] = [asSent(args), asGiven(options)];
    const tasks = await taskClient();
    return (await tasks.startTask(this.definition, given, how)) as TaskHandle<Result>;
  }

  /**
   * `start` with arguments from outside, such as a request's query or body: their types are looked at when it runs.
   * @throws what `start` throws
   * @example getList: (request) => double.startFrom({ number: request.query.foo })
   */
  startFrom(args: unknown, options: StartOptions = {}): Promise<TaskHandle<Result>> {
    return this.start(args as Input, options);
  }

  /**
   * Submits a run and waits for what it returns. Not inside a transaction: the run begins after the commit.
   * @throws what `start` and `TaskHandle.result` throw
   */
  async run(args: Input, options: StartOptions & WaitOptions = {}): Promise<Result> {
    const [given, how] = [asSent(args), asGiven(options)];
    const tasks = await taskClient();
    return (await tasks.runTask(this.definition, given, how)) as Result;
  }

  /** Runs the function here, in this process: what a task's process does. */
  async call(given: unknown, context: TaskContext): Promise<Result> {
    const { name, schema } = this.definition;
    return this.#handler((await parseArguments(name, schema, given)) as never, context);
  }
}

markAsOurs(Task.prototype, 'task', import.meta.url);

/**
 * Defines a task. Add it to the registry, or export it from a file that the setting `tasks` names.
 * @example
 * export const addition = task(
 *   { name: 'addition', args: { x: arg.integer('A value of X'), y: arg.integer('A value of Y') }, maxConcurrency: 1 },
 *   ({ x, y }) => x + y,
 * );
 * taskRegistry.add(addition);
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for wrong options
 */
export function task<Result, const Schema extends ArgumentsSchema = Arguments>(
  options: TaskOptions<Schema>,
  handler: TaskFunction<ArgumentsOutput<Schema>, Result>,
): Task<ArgumentsInput<Schema>, Awaited<Result>> {
  if (typeof handler !== 'function') throw new InvalidArgumentError('handler', 'a function', typeof handler);
  return new Task<ArgumentsInput<Schema>, Awaited<Result>>(
    resolveTask(options),
    handler as TaskFunction<never, Awaited<Result>>,
  );
}

function resolveTask(options: TaskOptions<ArgumentsSchema>): TaskDefinition {
  const d = DEFAULT_TASK_OPTIONS;
  // A misspelt limit would be none.
  assertKnownNames('options', options, TASK_OPTIONS);
  const { name, args = d.args, retry = {}, env = d.env, onFull = d.onFull } = options;
  if (typeof name !== 'string' || !/^[\w.-]{1,100}$/.test(name)) {
    throw new InvalidArgumentError('name', '1 to 100 letters, digits, _, - and .', JSON.stringify(name));
  }
  const of = (option: string) => `${name}.${option}`;
  const timeoutMs = durationMs(options.timeout ?? d.timeout, of('timeout'), 's');
  if (timeoutMs < 1 || timeoutMs > MAX_TIMER_MS) {
    throw new InvalidArgumentError(of('timeout'), 'a duration from 1 ms to 24 days', String(options.timeout));
  }
  if (onFull !== 'reject' && onFull !== 'queue') {
    throw new InvalidArgumentError(of('onFull'), "'reject' or 'queue'", String(onFull));
  }
  assertKnownNames(of('retry'), retry, ['attempts', 'delays', 'handOvers']);
  // A text alone is one of letters, each of which could be a variable.
  if (!Array.isArray(env)) throw new InvalidArgumentError(of('env'), 'a list of environment variables', kindOf(env));
  for (const variable of env) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) {
      throw new InvalidArgumentError(of('env'), 'names of environment variables', JSON.stringify(variable));
    }
  }
  const attempts = wholeNumber(of('retry.attempts'), retry.attempts ?? d.attempts, 1);
  const delays = retry.delays ?? d.delays;
  if (attempts > 1 && delays.length === 0) {
    throw new InvalidArgumentError(of('retry.delays'), 'at least one delay for retry.attempts > 1', '[]');
  }
  return Object.freeze({
    name,
    description: options.description ?? d.description,
    args: describeArguments(args),
    schema: args,
    maxConcurrency: wholeNumber(of('maxConcurrency'), options.maxConcurrency ?? d.maxConcurrency, 0),
    timeoutMs,
    attempts,
    retryDelaysMs: delays.map((delay) => keptDurationMs(delay, of('retry.delays'))),
    handOvers: wholeNumber(of('retry.handOvers'), retry.handOvers ?? d.handOvers, 0),
    resultTtlMs: keptDurationMs(options.resultTtl ?? d.resultTtl, of('resultTtl'), 's'),
    onFull,
    env: [...new Set(env)].sort(),
  });
}

/** Places are rows; so many are enough, and more would be a mistake. */
const MOST = 100_000;

function wholeNumber(option: string, value: number, min: number): number {
  if (Number.isInteger(value) && value >= min && value <= MOST) return value;
  throw new InvalidArgumentError(option, `a whole number from ${min} to ${MOST}`, String(value));
}
