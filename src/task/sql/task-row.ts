import {
  type FinalState,
  isFinal,
  type ListedTask,
  type TaskFailure,
  type TaskRecord,
  type TaskState,
} from '../state.ts';

/** Columns of a row for `recordOf`, of the table with this alias. */
export const recordColumns = (t: string): string =>
  `${lightColumns(t)}, ${t}.args AS args, ${t}.result AS result, ${t}.log AS log`;

/** Those that are small. */
export const lightColumns = (t: string): string => `${t}.id, ${t}.name, ${t}.state, ${t}.error,
  ${t}.attempt, ${t}.progress, ${t}.note, ${t}.cancel_requested AS cancelling, ${t}.submitter,
  ${time(t, 'created_at')} AS created, ${time(t, 'due_at')} AS due,
  ${time(t, 'started_at')} AS started, ${time(t, 'finished_at')} AS finished`;

/** Milliseconds since the epoch: what a timestamp becomes differs between libraries. */
const time = (t: string, column: string): string => `extract(epoch FROM ${t}.${column})::float8 * 1000`;

interface LightRow {
  readonly id: string;
  readonly name: string;
  readonly state: TaskState;
  readonly error: string | null;
  readonly attempt: number;
  readonly progress: number | null;
  readonly note: string | null;
  readonly cancelling: boolean;
  readonly submitter: string;
  readonly created: number;
  readonly due: number;
  readonly started: number | null;
  readonly finished: number | null;
}

export interface RecordRow extends LightRow {
  readonly args: string;
  readonly result: string | null;
  readonly log: string | null;
}

/** `args` is null when it was left out, or not asked for. */
export interface ListedRow extends LightRow {
  readonly args: string | null;
  readonly result: string | null;
  readonly abridged: boolean;
}

export const recordOf = (row: RecordRow): TaskRecord => ({
  ...membersOf(row),
  args: JSON.parse(row.args) as Record<string, unknown>,
  ...(row.log === null ? {} : { log: row.log }),
});

export const listedOf = (row: ListedRow): ListedTask => ({
  ...membersOf(row),
  ...(row.args === null ? {} : { args: JSON.parse(row.args) as Record<string, unknown> }),
  isAbridged: row.abridged,
});

function membersOf(row: LightRow & Pick<RecordRow, 'result'>): Omit<TaskRecord, 'args' | 'log'> {
  const { id, name, state, result, error, attempt, progress, note, submitter } = row;
  return {
    id,
    name,
    state,
    ...(result === null ? {} : { result: JSON.parse(result) as unknown }),
    // Of a run that failed and will be run again the row has the error as well.
    ...(error === null || !isFinal(state) ? {} : { error: JSON.parse(error) as TaskFailure }),
    attempt,
    ...(progress === null ? {} : { progress }),
    ...(note === null ? {} : { note }),
    isCancelRequested: row.cancelling,
    submitter,
    createdAt: new Date(row.created),
    dueAt: new Date(row.due),
    ...(row.started === null ? {} : { startedAt: new Date(row.started) }),
    ...(row.finished === null ? {} : { finishedAt: new Date(row.finished) }),
  };
}

/** How a task ended, without what else its row has. */
export interface Outcome {
  readonly id: string;
  readonly state: FinalState;
  readonly result?: unknown;
  readonly error?: TaskFailure | undefined;
}
