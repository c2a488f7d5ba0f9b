import { DuplicateProcessError, InvalidArgumentError, UnknownProcessError } from '../errors.ts';
import type { Task } from '../task/definition.ts';
import { nearestName } from '../util/nearest.ts';
import { announceRegistry, refuseOfOtherCopy, refuseOtherRegistries } from '../util/other-copies.ts';
import type { StepCatalogue } from './catalogue.ts';
import { coreSteps } from './core/core-steps.ts';
import { Process, type ProcessDefinition } from './definition.ts';
import type { ProcessDescription } from './description.ts';

/** The processes that this Node process knows, by id, and the steps that they may call by name. */
export class ProcessRegistry {
  readonly steps: StepCatalogue;
  readonly #processes = new Map<string, { readonly process: Process; readonly definition: ProcessDefinition }>();

  /** @param steps those that can be called by a name; @default those of the package */
  constructor(steps: StepCatalogue = coreSteps()) {
    this.steps = steps;
  }

  /**
   * Adds processes; the same one again changes nothing.
   * @throws ProcessDefinitionError when a step is not found, DuplicateProcessError, InvalidArgumentError
   */
  add(...processes: readonly Process[]): void {
    for (const process of processes) {
      refuseOthers(process);
      if (!(process instanceof Process)) {
        throw new InvalidArgumentError('process', 'what defineProcess() returned', typeof process);
      }
      const known = this.#processes.get(process.id);
      if (known && known.process !== process) throw new DuplicateProcessError(process.id);
      if (!known) this.#processes.set(process.id, { process, definition: process.resolve(this.steps) });
    }
  }

  /**
   * Adds each process that a module exports.
   * @throws what `add` throws, for one of another copy of this package as well
   */
  addExports(module: Readonly<Record<string, unknown>>): void {
    for (const value of Object.values(module)) {
      refuseOthers(value);
      if (value instanceof Process) this.add(value);
    }
  }

  /** @throws InvalidArgumentError when processes are registered with another copy of this package */
  refuseOtherCopies(): void {
    refuseOtherRegistries('process', import.meta.url);
  }

  has(id: string): boolean {
    return this.#processes.has(id);
  }

  /** @throws UnknownProcessError (SVC_COMM_UNKNOWN_PROCESS) */
  get(id: string): ProcessDefinition {
    const known = this.#processes.get(id);
    if (!known) throw new UnknownProcessError(id, nearestName(String(id), [...this.#processes.keys()]));
    return known.definition;
  }

  /** In the order they were added. */
  get definitions(): readonly ProcessDefinition[] {
    return [...this.#processes.values()].map(({ definition }) => definition);
  }

  /** What they tell of themselves, in the same order. */
  get descriptions(): readonly ProcessDescription[] {
    return this.definitions.map(({ description }) => description);
  }

  /** The tasks of their asynchronous steps: workers must know them. */
  get tasks(): readonly Task<never>[] {
    return [...new Set(this.definitions.flatMap(({ tasksAsync }) => tasksAsync.map(({ task }) => task)))];
  }
}

function refuseOthers(value: unknown): void {
  if (!(value instanceof Process)) refuseOfOtherCopy(value, 'process', ({ id }: Process) => id);
}

/** The registry of this process: what the files of the setting `processes` add to. */
export const processRegistry = new ProcessRegistry();
announceRegistry('process', import.meta.url, () => processRegistry.definitions.map(({ id }) => id));
