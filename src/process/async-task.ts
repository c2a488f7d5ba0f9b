import { arg } from '../task/argument.ts';
import { type Task, task } from '../task/definition.ts';
import type { BoundStep } from './definition.ts';
import type { Problems } from './problems.ts';
import type { RequestSnapshot } from './request.ts';
import { requestFor } from './run-step.ts';
import type { ProcessStep } from './step.ts';

/** What an asynchronous step travels with. */
export interface AsyncTaskArguments {
  readonly request: RequestSnapshot<unknown>;
  /** What the synchronous tasks returned. */
  readonly results: Readonly<Record<string, unknown>>;
  readonly args: readonly unknown[];
}

const MAX_TASK_NAME = 100;
const PLACEHOLDER = Object.freeze({});

/** The ordinary tasks that the asynchronous steps of one process are: `<process>.<step>`. */
export class AsyncTasks {
  readonly #processId: string;
  readonly #known = new Map<string, { readonly step: ProcessStep; readonly task: Task<never> }>();

  constructor(processId: string) {
    this.#processId = processId;
  }

  /** The same step again, with other arguments, is the same task. @returns undefined when it cannot be one */
  of({ name, step }: Pick<BoundStep, 'name' | 'step'>, problems: Problems): Task<never> | undefined {
    const known = this.#known.get(name);
    if (known && known.step.run === step.run) return known.task;
    if (known) {
      problems.add('a task with a name of its own', `another one called ${name}`);
      return undefined;
    }
    const taskName = `${this.#processId}.${name}`;
    if (taskName.length > MAX_TASK_NAME) {
      problems.add(`ids and names that are at most ${MAX_TASK_NAME} characters together`, taskName);
      return undefined;
    }
    const made = asyncTask(taskName, step);
    this.#known.set(name, { step, task: made });
    return made;
  }
}

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

/** Those that are set: what a service is made of where settings come from variables. */
const settingsVariables = (): readonly string[] =>
  Object.keys(process.env).filter((name) => name.startsWith('SVC_COMM_'));
