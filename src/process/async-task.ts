import { arg } from '../task/argument.ts';
import { type Task, task } from '../task/definition.ts';
import type { BoundStep } from './definition.ts';
import type { Problems } from './problems.ts';
import type { RequestSnapshot } from './request.ts';
import { requestFor } from './run-step.ts';
import { type ProcessStep, withEnvironment } from './step.ts';

/** What an asynchronous step travels with. */
export interface AsyncTaskArguments {
  readonly request: RequestSnapshot<unknown>;
  /** What the synchronous tasks returned. */
  readonly results: Readonly<Record<string, unknown>>;
  readonly args: readonly unknown[];
}

const MAX_TASK_NAME = 100;
const PLACEHOLDER = Object.freeze({});

/**
 * The ordinary tasks that the asynchronous steps of one process are: `<process>.<step>`. The same step again, with other
 * arguments, is the same task.
 */
export class AsyncTasks {
  readonly #processId: string;
  readonly #steps = new Map<string, ProcessStep>();
  readonly #tasks = new Map<string, Task<never>>();

  constructor(processId: string) {
    this.#processId = processId;
  }

  add({ name, step }: Pick<BoundStep, 'name' | 'step'>, problems: Problems): void {
    const known = this.#steps.get(name);
    const taskName = this.#nameOf(name);
    if (known && known.run !== step.run) problems.add('a task with a name of its own', `another one called ${name}`);
    else if (taskName.length > MAX_TASK_NAME) {
      problems.add(`ids and names that are at most ${MAX_TASK_NAME} characters together`, taskName);
    } else this.#steps.set(name, known ? withEnvironment(known, step.env) : step);
  }

  /** One that was added. */
  get(name: string): Task<never> {
    const step = this.#steps.get(name);
    const made = this.#tasks.get(name) ?? (step && asyncTask(this.#nameOf(name), step));
    // One with a problem is in no process.
    if (!made) return NO_TASK;
    this.#tasks.set(name, made);
    return made;
  }

  #nameOf(name: string): string {
    return `${this.#processId}.${name}`;
  }
}

const NO_TASK = task({ name: 'none' }, () => undefined) as unknown as Task<never>;

function asyncTask(name: string, step: ProcessStep): Task<never> {
  const { description, timeoutMs, retry } = step;
  const env = step.needsService ? [...step.env, ...settingsVariables()] : step.env;
  return task(
    {
      name,
      description,
      args: {
        request: arg.dict('The request that created the instance'),
        results: arg.dict('What the synchronous tasks returned', { default: PLACEHOLDER }),
        args: arg.list('What the step is called with after the request', { default: [] }),
      },
      env,
      ...(timeoutMs === undefined ? {} : { timeout: `${timeoutMs}ms` as const }),
      ...(retry === undefined ? {} : { retry }),
    },
    ({ request, results, args }, { taskId, attempt, signal, logger }) =>
      step.run(
        requestFor(step, request as unknown as RequestSnapshot<unknown>, {
          signal,
          logger,
          results: results as AsyncTaskArguments['results'],
          taskId,
          attempt,
        }) as never,
        ...(args as never[]),
      ),
  ) as unknown as Task<never>;
}

/** What a service is made of: those that are set, and where the servers are, which the worker says when they are embedded. */
const settingsVariables = (): readonly string[] => [
  'SVC_COMM_BROKER_URL',
  'SVC_COMM_DATABASE_URL',
  ...Object.keys(process.env).filter((name) => name.startsWith('SVC_COMM_')),
];
