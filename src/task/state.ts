/**
 * How far a task is. The last five are final: a row that is in one never changes again.
 *
 *   PENDING ──claimed──▶ STARTED ──▶ SUCCESS | FAILURE | TIMEOUT | REVOKED
 *      │ ▲                  │ worker lost, or failed with attempts left
 *      │ └──────────────────┤
 *      └▶ REVOKED           └▶ LOST: worker lost, no hand-over left
 */
export const TASK_STATES = ['PENDING', 'STARTED', 'SUCCESS', 'FAILURE', 'TIMEOUT', 'REVOKED', 'LOST'] as const;
export type TaskState = (typeof TASK_STATES)[number];

export const FINAL_STATES = ['SUCCESS', 'FAILURE', 'TIMEOUT', 'REVOKED', 'LOST'] as const;
export type FinalState = (typeof FINAL_STATES)[number];

export const isFinal = (state: TaskState): state is FinalState => state !== 'PENDING' && state !== 'STARTED';

export type TaskId = string & { readonly isTaskId?: never };

/** Why a task did not succeed; no stack. */
export interface TaskFailure {
  /** `Error`, `TypeError`, … */
  readonly name: string;
  readonly message: string;
  /** The `code` of what was thrown, if it had one. */
  readonly code?: string | undefined;
}

/** A submitted task as its row says. */
export interface TaskRecord {
  readonly id: TaskId;
  readonly name: string;
  readonly state: TaskState;
  /** As they were given, before defaults and coercion. */
  readonly args: Readonly<Record<string, unknown>>;
  /** What the handler returned, through JSON; undefined unless SUCCESS. */
  readonly result?: unknown;
  readonly error?: TaskFailure | undefined;
  /** The end of what the run printed; undefined when it printed nothing, or has not ended. */
  readonly log?: string | undefined;
  /** Starts so far. */
  readonly attempt: number;
  /** 0 … 1, as the handler last reported it. */
  readonly progress?: number | undefined;
  readonly note?: string | undefined;
  /** Whether somebody asked for its end. */
  readonly isCancelRequested: boolean;
  /** Who submitted it, as given to `start`; `''` when nobody said. */
  readonly submitter: string;
  readonly createdAt: Date;
  readonly dueAt: Date;
  readonly startedAt?: Date | undefined;
  readonly finishedAt?: Date | undefined;
}

/** One of a list, without what it printed. */
export interface ListedTask extends Omit<TaskRecord, 'args' | 'log'> {
  /** Undefined when they were not asked for, or are left out. */
  readonly args?: TaskRecord['args'];
  /**
   * Arguments and result are left out: with those of the tasks before it the list would have more than 8 MiB of them.
   * `find` has them.
   */
  readonly isAbridged: boolean;
}

/** What happens to a task, as `Tasks.events` tells it. */
export type TaskEvent =
  | { readonly kind: 'state'; readonly state: TaskState }
  | { readonly kind: 'progress'; readonly fraction: number; readonly note?: string | undefined };
