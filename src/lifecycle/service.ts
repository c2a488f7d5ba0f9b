import { NotRunningError, StartAbortedError } from '../errors.ts';

export const SERVICE_STATES = ['idle', 'starting', 'running', 'stopping'] as const;
export type ServiceState = (typeof SERVICE_STATES)[number];

/**
 * Everything that lives for long: a connection, a relay, a consumer, the whole process.
 * `start` resolves when it is ready, `stop` when it is quiet. Both may be called twice, at the same time, or cross.
 */
export interface Service {
  readonly name: string;
  readonly state: ServiceState;
  /** What its start failed with, until it is started again or stopped. */
  readonly startError?: unknown;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface ServiceHooks {
  /** Builds up. The signal aborts when `stop` comes meanwhile: give up soon. */
  start(signal: AbortSignal): Promise<void>;
  /** Takes down whatever `start` has built so far, also after a start that failed half-way. */
  stop(): Promise<void>;
}

/**
 * The one implementation of Service; parts hold one and delegate to it.
 *
 *            start()             ready
 *   idle ───────────▶ starting ─────────▶ running
 *    ▲                   │ failed, or stop()  │ stop()
 *    │                   ▼                    │
 *    └─────────────── stopping ◀──────────────┘
 *          quiet
 *
 * Callers at the same time share one promise; a failed start can be tried again; `stop` during `start` aborts it,
 * and the start's callers get StartAbortedError; `start` during `stop` waits and starts anew. The last call wins.
 */
export class Lifecycle implements Service {
  readonly name: string;
  readonly #hooks: ServiceHooks;
  #state: ServiceState = 'idle';
  #startError: unknown;
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #abort: AbortController | undefined;

  constructor(name: string, hooks: ServiceHooks) {
    this.name = name;
    this.#hooks = hooks;
  }

  get state(): ServiceState {
    return this.#state;
  }

  get startError(): unknown {
    return this.#startError;
  }

  /** @throws NotRunningError (SVC_COMM_NOT_RUNNING) unless running */
  assertRunning(): void {
    if (this.#state !== 'running') throw new NotRunningError(this.name, this.#state);
  }

  start(): Promise<void> {
    if (this.#starting && !this.#abort?.signal.aborted) return this.#starting;
    if (this.#state === 'running' && !this.#stopping) return Promise.resolve();
    return this.#begin();
  }

  stop(): Promise<void> {
    this.#startError = undefined;
    if (this.#state === 'idle' && !this.#starting) return Promise.resolve();
    this.#abort?.abort();
    this.#stopping ??= this.#stop().finally(() => {
      this.#stopping = undefined;
    });
    return this.#stopping;
  }

  /** A start that waits for what is under way: an aborted start, a stop. */
  #begin(): Promise<void> {
    const abort = new AbortController();
    const before = [this.#starting, this.#stopping].filter((promise) => promise !== undefined);
    this.#abort = abort;
    const starting = this.#start(abort.signal, before).finally(() => {
      if (this.#starting === starting) this.#starting = undefined;
    });
    this.#starting = starting;
    return starting;
  }

  async #start(signal: AbortSignal, before: readonly Promise<void>[]): Promise<void> {
    if (before.length > 0) await Promise.allSettled(before);
    if (signal.aborted) throw new StartAbortedError(this.name);
    this.#state = 'starting';
    this.#startError = undefined;
    try {
      await this.#hooks.start(signal);
      if (signal.aborted) throw new StartAbortedError(this.name);
      this.#state = 'running';
    } catch (error) {
      if (!signal.aborted) this.#startError = error;
      this.#state = 'stopping';
      await this.#hooks.stop().catch(() => undefined);
      this.#state = 'idle';
      if (signal.aborted && !(error instanceof StartAbortedError)) {
        throw new StartAbortedError(this.name, { cause: error });
      }
      throw error;
    }
  }

  async #stop(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    if (this.#state !== 'running') return;
    this.#state = 'stopping';
    try {
      await this.#hooks.stop();
    } finally {
      this.#state = 'idle';
    }
  }
}
