import type { ArgumentProblem } from '../../errors.ts';
import type { ListedTask, TaskRecord, TaskState } from '../../task/state.ts';

/** How restful-functions names the states. */
export type FunctionStatus = 'RUNNING' | 'DONE' | 'FAILED' | 'TIMEOUT';

export function statusOf(state: TaskState): FunctionStatus {
  switch (state) {
    case 'PENDING':
    case 'STARTED':
      return 'RUNNING';
    case 'SUCCESS':
      return 'DONE';
    case 'TIMEOUT':
      return 'TIMEOUT';
    case 'FAILURE':
    case 'REVOKED':
    case 'LOST':
      return 'FAILED';
    default:
      return state satisfies never;
  }
}

type Told = Pick<TaskRecord, 'id' | 'name' | 'state' | 'result' | 'error'>;

/** What the function returned; `null` while it runs, `"timeout"`, or the error's text. */
export function resultOf({ state, result, error, id }: Told): unknown {
  switch (statusOf(state)) {
    case 'RUNNING':
      return null;
    case 'DONE':
      return result ?? null;
    case 'TIMEOUT':
      return 'timeout';
    case 'FAILED':
      return (
        error?.message ?? (state === 'REVOKED' ? `task ${id} was cancelled` : `task ${id} is lost: its worker died`)
      );
  }
}

export const infoOf = (record: Told): object => ({
  task_id: record.id,
  function_name: record.name,
  status: statusOf(record.state),
  result: resultOf(record),
});

/** One of a list: a result that is left out says so, since `null` may be what a function returned. */
export const listedInfoOf = (task: ListedTask): object => ({
  ...infoOf(task),
  ...(task.isAbridged ? { result_omitted: true } : {}),
});

/** As restful-functions words it. */
export const argumentText = (problems: readonly ArgumentProblem[]): string =>
  problems
    .map(({ argument, kind, expected, got }) =>
      kind === 'missing' ? `Parameter Missing: ${argument}` : `Parameter is Invalid: ${argument} ${got} ${expected}`,
    )
    .join('; ');
