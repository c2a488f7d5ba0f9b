import { DuplicateTaskError, InvalidArgumentError, UnknownTaskError } from '../errors.ts';
import { announceRegistry, refuseOfOtherCopy, refuseOtherRegistries } from '../util/other-copies.ts';
import { Task, type TaskDefinition } from './definition.ts';

/** Whoever has tasks. */
export interface TaskSource {
  readonly tasks: readonly Task<never>[];
}

/** The tasks that a process knows, by name. */
export class TaskRegistry {
  readonly #tasks = new Map<string, Task<never>>();
  readonly #others: readonly TaskSource[];

  /** @param others are asked for what it has not itself, each time */
  constructor(others: readonly TaskSource[] = []) {
    this.#others = others;
  }

  /**
   * Adds tasks; the same one again changes nothing.
   * @throws DuplicateTaskError (SVC_COMM_DUPLICATE_TASK), InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
   */
  add(...tasks: readonly Task<never>[]): void {
    for (const task of tasks) {
      refuseOthers(task);
      if (!(task instanceof Task)) throw new InvalidArgumentError('task', 'what task() returned', typeof task);
      const known = this.#tasks.get(task.name);
      if (known && known !== task) throw new DuplicateTaskError(task.name);
      this.#tasks.set(task.name, task);
    }
  }

  /**
   * Adds each task that a module exports.
   * @throws what `add` throws, for one of another copy of this package as well
   */
  addExports(module: Readonly<Record<string, unknown>>): void {
    for (const value of Object.values(module)) {
      refuseOthers(value);
      if (value instanceof Task) this.add(value);
    }
  }

  /** @throws InvalidArgumentError when tasks are registered with another copy of this package */
  refuseOtherCopies(): void {
    refuseOtherRegistries('task', import.meta.url);
  }

  has(name: string): boolean {
    return this.#find(name) !== undefined;
  }

  /** @throws UnknownTaskError (SVC_COMM_UNKNOWN_TASK) */
  get(name: string): Task<never> {
    const task = this.#find(name);
    if (!task) throw new UnknownTaskError(name);
    return task;
  }

  /** In the order they were added. */
  get definitions(): readonly TaskDefinition[] {
    return this.tasks.map(({ definition }) => definition);
  }

  /** The same as they were given. */
  get tasks(): readonly Task<never>[] {
    return [...this.#tasks.values(), ...this.#others.flatMap(({ tasks }) => tasks)];
  }

  #find(name: string): Task<never> | undefined {
    return this.#tasks.get(name) ?? this.#others.flatMap(({ tasks }) => tasks).find((task) => task.name === name);
  }
}

function refuseOthers(value: unknown): void {
  if (!(value instanceof Task)) refuseOfOtherCopy(value, 'task', ({ name }: Task) => name);
}

/** The registry of this process: what the files of the setting `tasks` add to. */
export const taskRegistry = new TaskRegistry();
announceRegistry('task', import.meta.url, () => taskRegistry.tasks.map(({ name }) => name));
