/** Since the worker was made. */
export interface WorkerStats {
  /** Tasks running now. */
  running: number;
  /** Tasks that this worker began. */
  started: number;
  /** Messages of tasks that were not to be run: they had ended, begun elsewhere, or found no place. */
  passed: number;
  /** Runs whose end was written. */
  finished: number;
  /** Runs that were not ours any more when they ended, or whose lease could not be renewed. */
  lost: number;
  /** Tasks of dead workers that this one handed over or ended. */
  recovered: number;
}

export const emptyWorkerStats = (): WorkerStats => ({
  running: 0,
  started: 0,
  passed: 0,
  finished: 0,
  lost: 0,
  recovered: 0,
});
