import type { ArgumentProblem } from '../../errors.ts';
import type { TaskRecord, TaskState } from '../../task/state.ts';

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

/** What the function returned; `null` while it runs, `"timeout"`, or the error's text. */
export function resultOf({ state, result, error, id }: TaskRecord): unknown {
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

export const infoOf = (record: TaskRecord): object => ({
  task_id: record.id,
  function_name: record.name,
  status: statusOf(record.state),
  result: resultOf(record),
});

/** As restful-functions words it. */
export const argumentText = (problems: readonly ArgumentProblem[]): string =>
  problems
    .map(({ argument, kind, expected, got }) =>
      kind === 'missing' ? `Parameter Missing: ${argument}` : `Parameter is Invalid: ${argument} ${got} ${expected}`,
    )
    .join('; ');
