import { useTaskClient } from './task/client-source.ts';

/*
 * Imported for this: a task's own process loads the files that define tasks, and has no use for broker and database
 * until one of them starts another task.
 */
useTaskClient(async () => (await (await import('./default-service.ts')).defaultService()).tasks());

export {
  InvalidTaskArgumentsError,
  OverMaxConcurrencyError,
  TaskConflictError,
  TaskFailedError,
  TaskLostError,
  TaskNotFoundError,
  TaskRevokedError,
  TaskTimeoutError,
  TaskWaitTimeoutError,
} from './errors.ts';
export type { Logger } from './lifecycle/logger.ts';
export type {
  Argument,
  ArgumentDescription,
  ArgumentOptions,
  Arguments,
  ArgumentsInput,
  ArgumentsOutput,
  ArgumentsSchema,
  ArgumentType,
} from './task/argument.ts';
export { arg } from './task/argument.ts';
export type { TaskContext } from './task/context.ts';
export type { TaskDefinition, TaskFunction, TaskOptions, TaskRetryOptions } from './task/definition.ts';
export { Task, task } from './task/definition.ts';
export { TaskHandle } from './task/handle.ts';
export { TaskRegistry, taskRegistry } from './task/registry.ts';
export type { TaskCounts } from './task/sql/read.ts';
export type {
  FinalState,
  ListedTask,
  TaskEvent,
  TaskFailure,
  TaskId,
  TaskRecord,
  TaskState,
} from './task/state.ts';
export { FINAL_STATES, isFinal, TASK_STATES } from './task/state.ts';
export type { CancelResult, ListOptions, StartOptions, Tasks, WaitOptions } from './task/tasks.ts';
