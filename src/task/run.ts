import { deferred } from '../util/deferred.ts';
import type { TaskDefinition } from './definition.ts';
import type { ClaimedTask } from './sql/claim.ts';
import type { FinishedRun } from './sql/finish.ts';
import type { TaskFailure } from './state.ts';
import type { RunEnd, TaskProcess } from './task-process.ts';
import type { WorkerOptions } from './worker-options.ts';

/**
 * Why a run is ended from outside. `lost`: it is not ours any more, so nothing of it is written. `stop`: it is given back,
 * for another worker to start it anew.
 */
export type EndReason = 'timeout' | 'cancel' | 'stop' | 'lost';

export interface RunParts {
  readonly task: ClaimedTask;
  readonly definition: TaskDefinition;
  readonly options: WorkerOptions;
  readonly onProgress: (fraction: number, note: string | undefined) => void;
}

/**
 * One run of a task, from its claim to what is to be written of it.
 * Ended from outside, it has ended only when all of its processes have gone.
 */
export class TaskRun {
  readonly task: ClaimedTask;
  readonly definition: TaskDefinition;
  /** Resolved when nothing of it runs, and nothing is to be written of it any more. */
  readonly settled = deferred();
  readonly #parts: RunParts;
  readonly #ended = new AbortController();
  #process: TaskProcess | undefined;
  #reason: EndReason | undefined;
  #gone: Promise<void> | undefined;
  #isOver = false;

  constructor(parts: RunParts) {
    this.task = parts.task;
    this.definition = parts.definition;
    this.#parts = parts;
  }

  get isEnding(): boolean {
    return this.#reason !== undefined;
  }
  /** Aborts when it is ended from outside, for what waits on its behalf. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Its function has ended, and its process may run another task by now; its end may have to be written still. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** It is over, and how it ended is to be written. */
  get hasEnd(): boolean {
    return this.#isOver && this.#reason !== 'lost';
  }

  /** Ends it; the first reason holds. Does nothing when it is over. */
  end(reason: EndReason): void {
    if (this.#isOver) return;
    if (this.#reason !== undefined) {
      // Nobody waits for the grace time of one that is not ours.
      if (reason === 'lost') {
        this.#reason = reason;
        void this.#process?.kill();
      }
      return;
    }
    this.#reason = reason;
    this.#ended.abort();
    if (!this.#process) return;
    this.#gone = reason === 'lost' ? this.#process.kill() : this.#process.end(this.#parts.options.graceMs);
  }

  /**
   * Runs it in the process, which has been ready.
   * @param traceparent of the trace that it belongs to
   * @returns what is to be written; undefined when nothing is; `unbegun`: the process died before it had it, try another
   */
  async run(process: TaskProcess, traceparent: string | undefined): Promise<FinishedRun | 'unbegun' | undefined> {
    if (this.#reason !== undefined) return this.#finished(undefined, undefined);
    this.#process = process;
    const { task, definition, options, onProgress } = this.#parts;
    const { id, name, attempt, args, correlationId } = task;
    const message = { id, name, attempt, args, maxResultBytes: options.resultBytes, correlationId, traceparent };
    const timer = setTimeout(() => this.end('timeout'), definition.timeoutMs);
    try {
      const end = await process.run(message, onProgress);
      if (this.#reason !== undefined) await (this.#gone ?? process.over);
      else if (end.kind === 'unbegun') return 'unbegun';
      return this.#finished(end, process.takeOutput());
    } finally {
      clearTimeout(timer);
      this.#process = undefined;
    }
  }

  /** It did not come to a run, and would not here: for another worker, or for later. It has failed no more than before. */
  givenBack(): FinishedRun | undefined {
    this.end('stop');
    return this.#finished(undefined, undefined);
  }

  /** It did not come to a run: whatever process has it ends. */
  failed(error: TaskFailure): FinishedRun | undefined {
    return this.#finished({ kind: 'failed', error }, undefined);
  }

  #finished(end: RunEnd | undefined, log: string | undefined): FinishedRun | undefined {
    this.#isOver = true;
    const { id, attempt } = this.task;
    const base = { id, attempt, result: null, error: null, log: log ?? null, retryMs: null };
    switch (this.#reason) {
      case 'lost':
        return undefined;
      case 'cancel':
        return { ...base, state: 'REVOKED' };
      case 'stop':
        return { ...base, state: 'LOST', retryMs: 0, log: null };
      case 'timeout': {
        const message = `it ran longer than ${this.definition.timeoutMs / 1000} s`;
        return { ...base, state: 'TIMEOUT', error: JSON.stringify({ name: 'TimeoutError', message }) };
      }
      case undefined:
        break;
      default:
        this.#reason satisfies never;
    }
    if (end?.kind === 'done') return { ...base, state: 'SUCCESS', result: end.result };
    const error = JSON.stringify(end?.error ?? { name: 'Error', message: 'it has no end' });
    return { ...base, state: 'FAILURE', error, retryMs: this.#retryMs() };
  }

  #retryMs(): number | null {
    const { attempts, retryDelaysMs } = this.definition;
    const failures = this.task.failures + 1;
    if (failures >= attempts) return null;
    return retryDelaysMs[Math.min(failures, retryDelaysMs.length) - 1] ?? 0;
  }
}
