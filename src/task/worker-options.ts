import { availableParallelism } from 'node:os';

/** How a worker works. Durations in milliseconds. The settings check what is given; here it is complete. */
export interface WorkerOptions {
  /** Tasks that run at once, ≥ 1. */
  readonly concurrency: number;
  /** Processes that wait, with everything loaded, for each list of environment variables that tasks declare; ≥ 0. */
  readonly spare: number;
  /** Runs of a process before it is replaced; 1: each run has a fresh one. */
  readonly reuse: number;
  /** How long a task stays a worker's that does not renew: the time of a hand-over after it died. ≥ 1000 */
  readonly leaseMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly graceMs: number;
  /** Memory of a run's processes together. */
  readonly memoryBytes: number;
  /** Processes that a run has at once. */
  readonly processes: number;
  /** Longest result, as JSON. */
  readonly resultBytes: number;
  /** The end of what a run prints that is kept. */
  readonly logBytes: number;
  /** How often the tables are looked at without being notified. */
  readonly pollMs: number;
  /** How long `stop` waits for runs to end by themselves. */
  readonly drainMs: number;
}

export const DEFAULT_WORKER_OPTIONS: WorkerOptions = Object.freeze({
  concurrency: availableParallelism(),
  spare: 2,
  reuse: 1,
  leaseMs: 30_000,
  graceMs: 5_000,
  memoryBytes: 1024 * 1024 * 1024,
  processes: 256,
  resultBytes: 1024 * 1024,
  logBytes: 64 * 1024,
  pollMs: 1_000,
  drainMs: 30_000,
});
