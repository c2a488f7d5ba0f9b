import { parseDuration } from '../../util/duration.ts';
import type { ProcessRequest } from '../request.ts';
import { type ArgumentsCheck, ProcessStep, type TaskStepOptions } from '../step.ts';
import { type ExpressionInput, filled, filledProblem } from './expression.ts';

/** Options of a task of the package, with their expressions evaluated. */
export type CoreOptions = Readonly<Record<string, unknown>>;

/** A task of the package: it has one argument, an object, in which `= …` stands for what it makes of the request. */
export function coreTask(
  options: TaskStepOptions & { readonly needsService?: boolean },
  check: ArgumentsCheck,
  /** @param written as the process's author wrote them */
  run: (options: CoreOptions, request: ProcessRequest<unknown>, written: CoreOptions) => Promise<unknown>,
): ProcessStep {
  return new ProcessStep(
    'task',
    options,
    (async (request: ProcessRequest<unknown>, given: unknown) =>
      run((await filled(given, inputOf(request))) as CoreOptions, request, given as CoreOptions)) as never,
    (args) => check(args) ?? filledProblem(args),
  );
}

export function inputOf({ context, ...request }: ProcessRequest<unknown>): ExpressionInput {
  const { raw: _, ...snapshot } = request as typeof request & { raw?: unknown };
  return { ...snapshot, results: context.results, env: context.env };
}

/** @returns what it is instead of an object with these members; undefined when it is one */
export function membersProblem(
  given: unknown,
  required: readonly string[],
  optional: readonly string[] = [],
): string | undefined {
  const expected = `an object with ${required.join(', ')}${optional.length > 0 ? `, and at will ${optional.join(', ')}` : ''}`;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return expected;
  const isComplete = required.every((name) => Object.hasOwn(given, name));
  const isKnown = Object.keys(given).every((name) => required.includes(name) || optional.includes(name));
  return isComplete && isKnown ? undefined : expected;
}

/** @returns what a `timeout` is to be; undefined when it is that, is made of the request, or is left out */
export function timeoutProblem({ timeout }: CoreOptions): string | undefined {
  if (timeout === undefined || (typeof timeout === 'string' && timeout.startsWith('='))) return undefined;
  return (parseDuration(timeout, 's') ?? 0) > 0 ? undefined : "a timeout such as '30s'; a number is seconds";
}

/** A text of the options. @throws TypeError */
export function textOf(options: CoreOptions, name: string): string {
  const value = options[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new TypeError(`${name}: expected a text, got ${JSON.stringify(value)}`);
}
