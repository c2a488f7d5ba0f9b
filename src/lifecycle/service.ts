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
 * and the start's callers get StartAbortedError; `start` during `stop` waits and starts anew.
 */
export class Lifecycle implements Service {
  readonly name: string;
  readonly #hooks: ServiceHooks;
  #state: ServiceState = 'idle';
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

  /** @throws NotRunningError (SVC_COMM_NOT_RUNNING) unless running */
  assertRunning(): void {
    if (this.#state !== 'running') throw new NotRunningError(this.name, this.#state);
  }

  start(): Promise<void> {
    if (this.#state === 'running') return Promise.resolve();
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  stop(): Promise<void> {
    if (this.#state === 'idle' && !this.#starting) return Promise.resolve();
    this.#stopping ??= this.#stop().finally(() => {
      this.#stopping = undefined;
    });
    return this.#stopping;
  }

  async #start(): Promise<void> {
    await this.#stopping;
    const abort = new AbortController();
    this.#abort = abort;
    this.#state = 'starting';
    try {
      await this.#hooks.start(abort.signal);
      if (abort.signal.aborted) throw new StartAbortedError(this.name);
      this.#state = 'running';
    } catch (error) {
      this.#state = 'stopping';
      await this.#hooks.stop().catch(() => undefined);
      this.#state = 'idle';
      if (abort.signal.aborted && !(error instanceof StartAbortedError)) {
        throw new StartAbortedError(this.name, { cause: error });
      }
      throw error;
    }
  }

  async #stop(): Promise<void> {
    if (this.#starting) {
      this.#abort?.abort();
      await this.#starting.catch(() => undefined);
    }
    if (this.#state !== 'running') return;
    this.#state = 'stopping';
    try {
      await this.#hooks.stop();
    } finally {
      this.#state = 'idle';
    }
  }
}
