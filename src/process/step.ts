import { InvalidArgumentError } from '../errors.ts';
import { shown } from '../task/coerce.ts';
import type { TaskRetryOptions } from '../task/definition.ts';
import { assertKnownNames, assertObject, kindOf } from '../util/assert-object.ts';
import { type Duration, parseDuration } from '../util/duration.ts';
import { MAX_TIMER_MS } from '../util/sleep.ts';
import type { ProcessRequest } from './request.ts';

export type StepKind = 'validation' | 'task';

/**
 * Gets the request, then the declared arguments. Of a validation: true or nothing when it holds; false, a text that says
 * why, or a throw when it does not. Of a task: its result, which must be JSON.
 */
export type StepFunction = (request: never, ...args: never[]) => unknown;

export interface StepOptions {
  /** @default the function's own */
  readonly name?: string;
  /** @default '' */
  readonly description?: string;
  /** Environment variables that it gets in `request.context.env`; a task of a worker sees no others. @default [] */
  readonly env?: readonly string[];
  /**
   * A run that is longer has failed; a number is seconds, from 1 ms to 24 days. An asynchronous task is ended with its
   * process, whatever it does; the others are told by `request.context.signal`. @default '30s', of an asynchronous task 1 day
   */
  readonly timeout?: Duration;
}

const NAMES = ['name', 'description', 'env', 'timeout'] as const satisfies readonly (keyof StepOptions)[];

export interface TaskStepOptions extends StepOptions {
  /** Of an asynchronous task: when it is run again. No effect on others. @default never, but after a worker died */
  readonly retry?: TaskRetryOptions;
}

/** Looks at the declared arguments when a process is defined. @returns what they should be; undefined: they are right */
export type ArgumentsCheck = (args: readonly unknown[]) => string | undefined;

/** A function that processes can name, with what is told of it. */
export class ProcessStep {
  readonly kind: StepKind;
  /** undefined: neither was it given one, nor has its function one. */
  readonly name: string | undefined;
  readonly description: string;
  /** Sorted, each once. */
  readonly env: readonly string[];
  readonly timeoutMs: number | undefined;
  readonly retry: TaskRetryOptions | undefined;
  readonly run: StepFunction;
  readonly checkArguments: ArgumentsCheck;
  /** Whether it uses the service that it runs in: in a worker it gets the variables that settings are read from. */
  readonly needsService: boolean;

  constructor(
    kind: StepKind,
    options: TaskStepOptions & { readonly needsService?: boolean },
    run: StepFunction,
    checkArguments: ArgumentsCheck = () => undefined,
  ) {
    assertObject(`the options of a ${kind}`, options);
    const { description = '', env = [], timeout, retry } = options;
    if (options.name !== undefined && !(typeof options.name === 'string' && STEP_NAME.test(options.name))) {
      throw new InvalidArgumentError('name', NAME_RULE, shown(options.name));
    }
    const name = options.name ?? (STEP_NAME.test(run.name) ? run.name : undefined);
    const of = name ?? 'a step';
    if (typeof description !== 'string') {
      throw new InvalidArgumentError(`description of ${of}`, 'a text', kindOf(description));
    }
    // A text alone is one of letters, each of which could be a variable.
    if (!Array.isArray(env)) {
      throw new InvalidArgumentError(`env of ${of}`, 'a list of names of environment variables', kindOf(env));
    }
    for (const variable of env) {
      if (typeof variable === 'string' && VARIABLE.test(variable)) continue;
      throw new InvalidArgumentError(`env of ${of}`, 'names of environment variables', shown(variable));
    }
    this.kind = kind;
    this.name = name;
    this.description = description;
    this.env = Object.freeze([...new Set(env)].sort());
    this.timeoutMs = timeout === undefined ? undefined : timeoutMsOf(timeout, name);
    this.retry = retry;
    this.run = run;
    this.checkArguments = checkArguments;
    this.needsService = options.needsService ?? false;
  }
}

function timeoutMsOf(timeout: Duration, name = 'a step'): number {
  const ms = parseDuration(timeout, 's');
  if (ms !== undefined && ms >= 1 && ms <= MAX_TIMER_MS) return ms;
  throw new InvalidArgumentError(`timeout of ${name}`, 'a duration from 1 ms to 24 days', String(timeout));
}

/** The same step, given more variables. */
export const withEnvironment = (step: ProcessStep, env: readonly string[]): ProcessStep =>
  env.length === 0
    ? step
    : new ProcessStep(
        step.kind,
        {
          description: step.description,
          needsService: step.needsService,
          env: [...step.env, ...env],
          ...(step.name === undefined ? {} : { name: step.name }),
          ...(step.timeoutMs === undefined ? {} : { timeout: `${step.timeoutMs}ms` as const }),
          ...(step.retry === undefined ? {} : { retry: step.retry }),
        },
        step.run,
        step.checkArguments,
      );

export const STEP_NAME = /^[A-Za-z_][\w.-]{0,79}$/;
export const VARIABLE = /^[A-Za-z_]\w*$/;
const NAME_RULE = 'a letter, then up to 79 letters, digits, _, - and .';

/**
 * A task of processes that is more than its function: with a name, a description, the environment variables it needs.
 * @example
 * export const sendHelloEmail = processTask(
 *   { name: 'sendHelloEmail', description: 'Writes to who said hello', env: ['SMTP_URL'] },
 *   async ({ body, context }, subject: string) => send(context.env.SMTP_URL, body, subject),
 * );
 * @param checkArguments looks at the arguments when a process is defined; gives what they should be when they are not
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for wrong options
 */
export function processTask<Request = ProcessRequest, Args extends readonly unknown[] = []>(
  options: TaskStepOptions,
  run: (request: Request, ...args: Args) => unknown,
  checkArguments?: ArgumentsCheck,
): ProcessStep {
  return step('task', options, run, checkArguments);
}

/** The same of a validation: it returns true or nothing when it holds, else false or why it does not. */
export function validation<Request = ProcessRequest, Args extends readonly unknown[] = []>(
  options: StepOptions,
  run: (request: Request, ...args: Args) => unknown,
  checkArguments?: ArgumentsCheck,
): ProcessStep {
  return step('validation', options, run, checkArguments);
}

function step(kind: StepKind, options: TaskStepOptions, run: unknown, checkArguments?: ArgumentsCheck): ProcessStep {
  if (typeof run !== 'function') throw new InvalidArgumentError(kind, 'a function', typeof run);
  assertObject(`the options of a ${kind}`, options);
  // A misspelt time-out would be a day, and a misspelt list of variables none.
  assertKnownNames(`the options of a ${kind}`, options, kind === 'task' ? [...NAMES, 'retry'] : NAMES);
  return new ProcessStep(kind, options, run as StepFunction, checkArguments);
}
