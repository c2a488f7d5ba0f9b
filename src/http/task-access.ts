import type { FastifyInstance, FastifyRequest } from 'fastify';
import { TaskWaitTimeoutError } from '../errors.ts';
import { taskClient } from '../task/client-source.ts';
import type { FinalState, TaskRecord } from '../task/state.ts';
import type { CancelResult, StartOptions, Tasks } from '../task/tasks.ts';
import { type Duration, durationMs } from '../util/duration.ts';
import { linkedSignal } from '../util/linked-signal.ts';
import { callerOf } from './caller.ts';
import { FirstStart } from './first-start.ts';
import { idempotencyKey } from './idempotency-key.ts';

export interface TaskAccessOptions {
  /** What submits and tells of tasks. @default that of the default service */
  readonly tasks?: Tasks | undefined;
  /**
   * How long an answer waits for a cancelled task to have really ended: the workers' grace time and a second.
   * @default '6s'
   */
  readonly cancelWait?: Duration | undefined;
}

export const DEFAULT_CANCEL_WAIT: Duration = '6s';

/** Tasks as a request may see them: of others there are none. Waits end when the server closes. */
export class TaskAccess {
  readonly cancelWaitMs: number;
  readonly #given: Tasks | undefined;
  readonly #closing = new AbortController();
  readonly #ofDefault = new FirstStart(taskClient, this.#closing.signal);

  constructor(scope: FastifyInstance, { tasks, cancelWait = DEFAULT_CANCEL_WAIT }: TaskAccessOptions) {
    this.#given = tasks;
    this.cancelWaitMs = durationMs(cancelWait, 'cancelWait');
    scope.addHook('preClose', (done) => {
      this.#closing.abort();
      done();
    });
  }

  /** Aborts when the server closes. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** @throws DatabaseUnavailableError while those of the default service wait for the database */
  async tasks(): Promise<Tasks> {
    return this.#given ?? this.#ofDefault.get();
  }

  /** Whose a started task is, and the key that makes a second start of it the same. */
  defaultsOf(request: FastifyRequest): Pick<StartOptions, 'submitter' | 'idempotencyKey'> {
    const key = idempotencyKey(request);
    return { submitter: callerOf(request).owner, ...(key === undefined ? {} : { idempotencyKey: key }) };
  }

  /** The submitter to list and cancel by; undefined for those who see all. */
  submitterOf(request: FastifyRequest): string | undefined {
    const { owner, seesAll } = callerOf(request);
    return seesAll ? undefined : owner;
  }

  /** undefined when there is none, or none for this caller. */
  async find(request: FastifyRequest, id: string): Promise<TaskRecord | undefined> {
    const record = await (await this.tasks()).find(id);
    const submitter = this.submitterOf(request);
    return submitter === undefined || record?.submitter === submitter ? record : undefined;
  }

  /** Ends one. @returns undefined when it was asked for, and takes longer than `cancelWait` */
  async cancel(id: string): Promise<CancelResult | undefined> {
    const tasks = await this.tasks();
    return unlessLate(tasks.cancel(id, { timeout: `${this.cancelWaitMs}ms`, signal: this.closing }), this.closing);
  }

  /** Ends all of a name that the caller sees. */
  async cancelAll(request: FastifyRequest, name: string): Promise<void> {
    const tasks = await this.tasks();
    const submitter = this.submitterOf(request);
    const options = { timeout: `${this.cancelWaitMs}ms`, signal: this.closing } as const;
    const ended = tasks.cancelAll(name, submitter === undefined ? options : { ...options, submitter });
    await unlessLate(ended, this.closing);
  }

  /**
   * Waits for the end.
   * @param wait.ms at most; undefined: for ever
   * @param wait.until gives up when it aborts
   * @returns undefined when it did not come in that time, the client is gone, or the server closes
   */
  async ended(
    id: string,
    wait: { readonly ms?: number; readonly until: AbortSignal },
  ): Promise<FinalState | undefined> {
    const tasks = await this.tasks();
    const timeout = wait.ms === undefined ? {} : ({ timeout: `${wait.ms}ms` } as const);
    const { signal, unlink } = linkedSignal(this.closing, wait.until);
    try {
      return (await unlessLate(tasks.waitForEnd(id, { ...timeout, signal }), signal))?.state;
    } finally {
      unlink();
    }
  }
}

/** What else fails while it is over has not been done. */
async function unlessLate<T>(wait: Promise<T>, over: AbortSignal): Promise<T | undefined> {
  try {
    return await wait;
  } catch (error) {
    if (error instanceof TaskWaitTimeoutError || (over.aborted && error === over.reason)) return undefined;
    throw error;
  }
}
