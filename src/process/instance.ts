import type { TaskFailure } from '../task/state.ts';

/**
 *   New ──synchronous tasks done──▶ Running ──last asynchronous task ended──▶ Complete | Failed | Cancelled
 *    ├── no asynchronous ones ─────▶ Complete
 *    ├── one failed, or its server died ─▶ Failed
 *    └── somebody asked for its end ─────▶ Cancelled
 */
export const INSTANCE_STATES = ['New', 'Running', 'Complete', 'Failed', 'Cancelled'] as const;
export type InstanceState = (typeof INSTANCE_STATES)[number];

export const STEP_STATUSES = [
  'WAITING',
  'PENDING',
  'STARTED',
  'SUCCESS',
  'FAILURE',
  'TIMEOUT',
  'REVOKED',
  'LOST',
  'SKIPPED',
] as const;
/** WAITING: its turn has not come. SKIPPED: it will never. LOST: it may have run. The others are those of tasks. */
export type StepStatus = (typeof STEP_STATUSES)[number];

/** A task of an instance. */
export interface InstanceTask {
  readonly name: string;
  readonly kind: 'sync' | 'async';
  readonly status: StepStatus;
  /** What it is called with after the request. */
  readonly args: readonly unknown[];
  readonly result?: unknown;
  readonly error?: TaskFailure;
  /** Of an asynchronous one that was submitted. */
  readonly taskId?: string;
  /** When an asynchronous one is to begin, at the earliest. */
  readonly dueAt?: Date;
  readonly startedAt?: Date;
  readonly finishedAt?: Date;
}

/** An instance of a process as its rows say. */
export interface ProcessInstance {
  readonly id: string;
  readonly process: string;
  readonly state: InstanceState;
  /** The body of the request, with the types and defaults of the fields. */
  readonly input: unknown;
  /** Who created it; `''` when nobody said. */
  readonly submitter: string;
  readonly isCancelRequested: boolean;
  readonly createdAt: Date;
  readonly finishedAt?: Date;
  /** Synchronous ones first, each kind in its order. */
  readonly tasks: readonly InstanceTask[];
  /**
   * Of a list that would have more than 8 MiB: `input`, and `args` and `result` of its tasks, are left out. Asked for by
   * its id it has them.
   */
  readonly isAbridged?: true;
}

export const hasEnded = ({ state }: Pick<ProcessInstance, 'state'>): boolean => state !== 'New' && state !== 'Running';

/**
 * Whether a cancel has ended it, or at least one of its tasks: with one that had failed before it ends as Failed.
 * @param before as it was when that was asked for
 */
export const wasCancelled = (before: ProcessInstance, { state, tasks }: ProcessInstance): boolean =>
  state === 'Cancelled' ||
  tasks.some(({ kind, status }, at) => {
    const was = before.tasks[at]?.status;
    return kind === 'async' && status === 'REVOKED' && was !== 'REVOKED';
  });

/**
 * What ended it before its asynchronous tasks were submitted: the synchronous task that failed or was lost, or the first
 * one that was not begun any more when its server died. undefined: it has not Failed so.
 */
export const failedTask = ({ state, tasks }: ProcessInstance): InstanceTask | undefined =>
  state !== 'Failed'
    ? undefined
    : (tasks.find(({ kind, status }) => kind === 'sync' && ['FAILURE', 'TIMEOUT', 'LOST'].includes(status)) ??
      tasks.find(({ status }) => status === 'SKIPPED'));
