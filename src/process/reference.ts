import { failureOf } from '../task/process-message.ts';
import { type Duration, MAX_KEPT_MS, parseDuration } from '../util/duration.ts';
import { AsyncTasks } from './async-task.ts';
import type { StepCatalogue } from './catalogue.ts';
import { evaluate, expressionProblem } from './core/expression.ts';
import type { AsyncBoundStep, BoundStep, When } from './definition.ts';
import { jsonProblem, type Problems } from './problems.ts';
import { frozen } from './run-step.ts';
import { ProcessStep, type StepFunction, type StepKind, VARIABLE, withEnvironment } from './step.ts';

/** A function, what `processTask` or `validation` gave, or the name of one of the package or the project. */
export type Step = StepFunction | ProcessStep | string;

/** What a step is called with after the request: a list, or one value that is no list. */
export interface StepArguments {
  readonly args?: unknown;
  /** Environment variables that it gets besides those that it declares itself. @default [] */
  readonly env?: readonly string[];
}

/** A step, alone or with its arguments. */
export type StepReference = Step | readonly [Step] | readonly [Step, readonly unknown[] | StepArguments];

export interface AsyncStepArguments extends StepArguments {
  /** So long after its last synchronous task has ended; a number is seconds. Not together with `at`. */
  readonly delay?: Duration;
  /** Gives the time from the input; in a file an expression such as `= body.when`. */
  readonly at?: ((input: never) => unknown) | string;
}

export type AsyncStepReference = Step | readonly [Step] | readonly [Step, readonly unknown[] | AsyncStepArguments];

/** Turns what a process says of its steps into the steps. */
export class StepResolver {
  readonly #catalogue: StepCatalogue;
  readonly #tasks: AsyncTasks;

  constructor(processId: string, catalogue: StepCatalogue) {
    this.#catalogue = catalogue;
    this.#tasks = new AsyncTasks(processId);
  }

  list(kind: StepKind, given: unknown, problems: Problems): readonly BoundStep[] {
    return entriesOf(given, problems).flatMap((reference, index) => {
      const found = this.#bind(kind, reference, ['args', 'env'], problems.at(index));
      return found ? [{ name: found.name, step: found.step, args: found.args }] : [];
    });
  }

  asyncList(given: unknown, problems: Problems): readonly AsyncBoundStep[] {
    const bound = entriesOf(given, problems).map((reference, index) => {
      const at = problems.at(index);
      const found = this.#bind('task', reference, ['args', 'env', 'delay', 'at'], at);
      const when = found && whenOf(found.options, at);
      if (found) this.#tasks.add(found, at);
      return found && when ? [{ name: found.name, step: found.step, args: found.args, when }] : [];
    });
    return bound.flat().map((one) => ({ ...one, task: this.#tasks.get(one.name) }));
  }

  #bind(kind: StepKind, reference: unknown, keys: readonly string[], problems: Problems) {
    const parts: readonly unknown[] = Array.isArray(reference) ? reference : [reference];
    if (parts.length === 0 || parts.length > 2) {
      problems.add(`a ${kind}, or a ${kind} and its arguments`, reference);
      return undefined;
    }
    const found = this.#find(kind, parts[0], problems);
    const second = parts[1] ?? [];
    const options = Array.isArray(second) ? { args: second } : problems.object(second, keys);
    if (!found || !options) return undefined;
    // Results stand in an object by the names of their steps: one of this name would be its prototype.
    if (found.name === '__proto__') problems.add('a step of another name', found.name);
    const { args } = options as StepArguments;
    const list: readonly unknown[] = Array.isArray(args) ? args : args === undefined || args === null ? [] : [args];
    const expected = argumentsProblem(kind, list) ?? checked(found.step, list);
    if (expected !== undefined) {
      problems.add(`${found.name} with ${expected}`, list);
      return undefined;
    }
    const env = environmentOf(options, problems.at(1));
    const step = withEnvironment(found.step, env);
    return { name: found.name, step, args: keptArguments(kind, list), options };
  }

  #find(kind: StepKind, given: unknown, problems: Problems): Pick<BoundStep, 'name' | 'step'> | undefined {
    if (typeof given === 'string') {
      const known = this.#catalogue.find(kind, given);
      if (known) return known;
      const near = this.#catalogue.nearest(kind, given);
      const which = near === undefined ? `one of ${this.#catalogue.names(kind).join(', ')}` : `did you mean ${near}?`;
      problems.add(`the name of a ${kind}: ${which}`, given);
      return undefined;
    }
    const step = stepOf(kind, given);
    if (!step) {
      problems.add(`a function, or the name of a ${kind}`, given);
      return undefined;
    }
    if (step.kind !== kind) {
      problems.add(`a ${kind}`, `a ${step.kind}, ${step.name ?? 'without a name'}`);
      return undefined;
    }
    if (step.name === undefined) {
      const maker = kind === 'task' ? 'processTask' : 'validation';
      problems.add(`a function with a name, or what ${maker}({ name }, …) gives`, 'one without');
      return undefined;
    }
    return { name: step.name, step };
  }
}

/** The check may be the project's own. */
function checked({ checkArguments }: ProcessStep, args: readonly unknown[]): string | undefined {
  try {
    return checkArguments(args);
  } catch (error) {
    return `arguments that its check does not throw at: ${failureOf(error).message}`;
  }
}

/** Those of a task are kept with each instance. Those of a validation are only shown, as far as JSON can. */
function argumentsProblem(kind: StepKind, args: readonly unknown[]): string | undefined {
  const problem = kind === 'task' || !isShown(args) ? jsonProblem(args) : undefined;
  return problem === undefined ? undefined : `arguments that are JSON: ${problem}`;
}

/**
 * Those of a task as they are now, and as they travel: every instance gets the same, whatever a step does to them. Those of
 * a validation may be what JSON does not have.
 */
const keptArguments = (kind: StepKind, args: readonly unknown[]): readonly unknown[] =>
  kind === 'task' ? frozen(JSON.parse(JSON.stringify(args)) as readonly unknown[]) : Object.freeze([...args]);

function isShown(args: readonly unknown[]): boolean {
  try {
    JSON.stringify(args);
    return true;
  } catch {
    return false;
  }
}

function stepOf(kind: StepKind, given: unknown): ProcessStep | undefined {
  if (given instanceof ProcessStep) return given;
  return typeof given === 'function' ? new ProcessStep(kind, {}, given as StepFunction) : undefined;
}

function environmentOf({ env }: Readonly<Record<string, unknown>>, problems: Problems): readonly string[] {
  if (env === undefined) return [];
  const names = Array.isArray(env) ? env : [env];
  if (names.every((name) => typeof name === 'string' && VARIABLE.test(name))) return names as string[];
  problems.at('env').add('names of environment variables', env);
  return [];
}

function entriesOf(given: unknown, problems: Problems): readonly unknown[] {
  if (given === undefined || given === null) return [];
  if (Array.isArray(given)) return given;
  problems.add('a list', given);
  return [];
}

function whenOf(options: Readonly<Record<string, unknown>>, problems: Problems): When | undefined {
  const { delay, at } = options;
  if (delay !== undefined && at !== undefined) {
    problems.add('delay or at', 'both');
    return undefined;
  }
  if (delay !== undefined) {
    const ms = parseDuration(delay, 's');
    if (ms !== undefined && ms <= MAX_KEPT_MS) return { kind: 'delay', ms };
    problems.at('delay').add("a duration such as '30s' or '10m', at most 36500d", delay);
    return undefined;
  }
  if (at === undefined) return { kind: 'now' };
  if (typeof at === 'function') return { kind: 'at', at: at as (input: never) => unknown };
  if (typeof at === 'string' && at.startsWith('=')) {
    const problem = expressionProblem(at.slice(1));
    if (problem !== undefined) {
      problems.at('at').add(problem, at);
      return undefined;
    }
    return { kind: 'at', at: (input: unknown) => evaluate(at.slice(1), { body: input }) };
  }
  problems.at('at').add("a function of the input, or an expression such as '= body.when'", at);
  return undefined;
}
