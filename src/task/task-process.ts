import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { TaskProcessError } from '../errors.ts';
import { deferred } from '../util/deferred.ts';
import { CHANNEL_VARIABLES, ProcessChannel } from '../util/process-channel.ts';
import { sleep } from '../util/sleep.ts';
import { environmentOf } from './environment.ts';
import type { ProcessGuard } from './guard.ts';
import type { Isolation } from './isolation.ts';
import { KilledNotice } from './killed-notice.ts';
import { type Exceeded, LimitWatch, type RunLimits } from './limit-watch.ts';
import { OutputTail } from './output-tail.ts';
import { type FromProcess, parseFromProcess, type ToProcess } from './process-message.ts';
import { ProcessTree } from './process-tree.ts';
import type { TaskFailure } from './state.ts';

export interface TaskProcessOptions {
  /** Arguments of `node` that make it a task's process. */
  readonly nodeArguments: readonly string[];
  readonly load: { readonly root: string; readonly files: readonly string[] };
  /** Declared environment variables that it gets. */
  readonly env: readonly string[];
  /** Values of variables, as far as they are declared, in place of this process's own. @default none */
  readonly variables?: Readonly<Record<string, string>>;
  readonly isolation: Isolation;
  /** Undefined where there are namespaces. */
  readonly guard: ProcessGuard | undefined;
  /** More than these ends the run. */
  readonly limits: RunLimits;
  readonly logBytes: number;
  /** Gets what the process prints, line breaks and all, as it comes. */
  readonly onOutput: (chunk: Buffer) => void;
  /** Called at once when the process itself has ended; what it started may be there still. @default nobody is told */
  readonly onExit?: (wasReady: boolean) => void;
}

/** How a run ended by itself. `unbegun`: the process died before it had it, so nothing of it was done. */
export type RunEnd =
  | { readonly kind: 'done'; readonly result: string }
  | { readonly kind: 'failed' | 'unbegun'; readonly error: TaskFailure };

const LEAVE_MS = 1_000;
/** A file that waits for what never comes would hold its task for ever. */
const LOAD_MS = 120_000;
const MIB = 1024 * 1024;

/**
 * A process that runs tasks, one at a time.
 *
 *   starting ──ready──▶ idle ──run()──▶ busy ──its end──▶ idle
 *       └──────────────── it died, or end() ─────────────▶ over
 */
export class TaskProcess {
  /** Resolves when it has loaded the task files. Rejects with TaskProcessError when it cannot, or died before. */
  readonly ready: Promise<void>;
  /** Resolves when the process and all that it started have gone. */
  readonly over: Promise<void>;
  /** Runs begun. */
  runs = 0;
  isReady = false;
  isOver = false;
  /** How it ended, for `it …`; undefined until it is told with `ready` or `over`. */
  ending: string | undefined;
  /** Ended by a signal from outside, which says nothing of what it loads; others (SIGSEGV, SIGABRT) are its own. */
  wasKilled = false;
  /** What it takes, in bytes, as it said itself after its last run; 0 before. */
  residentBytes = 0;
  readonly tree: ProcessTree;
  readonly #child: ChildProcess;
  readonly #channel: ProcessChannel;
  readonly #output: OutputTail;
  readonly #limits: LimitWatch;
  readonly #options: TaskProcessOptions;
  readonly #ready = deferred();
  readonly #over = deferred();
  readonly #loading: NodeJS.Timeout;
  readonly #notice = new KilledNotice();
  /** What it wrote to the channel. */
  #rubbish: string | undefined;
  /** It has the run that it was given last. */
  #hasBegun = false;
  #onEnd: ((end: RunEnd) => void) | undefined;
  #onProgress: ((fraction: number, note: string | undefined) => void) | undefined;

  constructor(options: TaskProcessOptions) {
    this.#options = options;
    this.#output = new OutputTail(options.logBytes);
    this.ready = this.#ready.promise;
    this.ready.catch(() => undefined);
    this.over = this.#over.promise;
    const { isolation, nodeArguments, limits, env, variables = {} } = options;
    const heap = `--max-old-space-size=${Math.max(16, Math.floor(limits.memoryBytes / MIB))}`;
    const [command = process.execPath, ...args] = [...isolation.command, process.execPath, heap, ...nodeArguments];
    this.#child = spawn(command, args, {
      // A group of its own, which can be ended as a whole, and no terminal's signals.
      detached: true,
      cwd: options.load.root,
      env: { ...environmentOf(env, variables), ...CHANNEL_VARIABLES },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    // Without a file descriptor to spare Node makes no streams, whatever its types say.
    const streams: ChildProcess['stdio'] | undefined = this.#child.stdio;
    this.#channel = new ProcessChannel(streams?.[3] as Duplex | undefined, {
      onMessage: (message) => {
        const known = parseFromProcess(message);
        if (known) this.#heard(known);
      },
      onRubbish: (what) => {
        this.#rubbish = what;
        void this.kill();
      },
    });
    this.tree = new ProcessTree(this.#child.pid ?? 0, isolation.level);
    this.#limits = new LimitWatch(this.tree, limits);
    this.#loading = setTimeout(() => {
      this.#ready.reject(new TaskProcessError(`its files were not loaded within ${LOAD_MS / 1000} s`));
    }, LOAD_MS);
    this.#listen();
    this.#send({ kind: 'load', ...options.load });
  }

  /** The whole tree's first process; undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * Runs a task. Resolves when it has ended or the process has died; what is told after that is not listened to.
   * A process that is over ends no task: the run is `unbegun`.
   */
  run(
    message: Omit<ToProcess & { readonly kind: 'run' }, 'kind'>,
    onProgress: (fraction: number, note: string | undefined) => void,
  ): Promise<RunEnd> {
    this.runs += 1;
    this.#output.take();
    this.#onProgress = onProgress;
    const ended = new Promise<RunEnd>((resolve) => {
      this.#onEnd = resolve;
    });
    this.#hasBegun = false;
    if (this.isOver) void this.over.then(() => this.#runEnded(this.#death()));
    else {
      this.#limits.begin();
      this.#channel.expect(message.maxResultBytes);
      this.#send({ kind: 'run', ...message });
    }
    return ended;
  }

  /** The end of what it printed since the run began, or since its own beginning when it has had none. */
  takeOutput(): string | undefined {
    return this.#output.take();
  }

  /** Lets it leave, and kills it when it does not; also whatever it has started. Resolves when all have gone. */
  async leave(): Promise<void> {
    if (!this.isOver) {
      this.#send({ kind: 'leave' });
      await Promise.race([this.over, sleep(LEAVE_MS)]);
      if (!this.isOver) this.tree.kill();
    }
    await this.over;
  }

  /** Tells the run; SIGTERM, the grace time, SIGKILL: to all of its processes. Resolves when all have gone. */
  async end(graceMs: number): Promise<void> {
    if (this.isOver) return this.over;
    this.#send({ kind: 'end' });
    this.tree.terminate();
    const isOver = this.over.then(() => true);
    if (!(await Promise.race([isOver, sleep(graceMs).then(() => false)]))) this.tree.kill();
    await this.over;
  }

  /** At once. */
  async kill(): Promise<void> {
    // Its number may be another's by now.
    if (!this.isOver) this.tree.kill();
    await this.over;
  }

  #listen(): void {
    const child = this.#child;
    child.stdout?.on('data', (chunk: Buffer) => this.#wrote(chunk));
    child.stderr?.on('data', (chunk: Buffer) => this.#wrote(this.#notice.take(chunk)));
    child.stderr?.on('end', () => this.#wrote(this.#notice.end()));
    for (const stream of [child.stdout, child.stderr]) stream?.on('error', () => undefined);
    child.on('error', (error) => {
      if (child.pid === undefined) void this.#exited(null, null, error);
    });
    child.on('exit', (code, signal) => void this.#exited(code, signal));
    if (child.pid !== undefined) this.#options.guard?.add(child.pid);
  }

  #wrote(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#output.push(chunk);
    this.#options.onOutput(chunk);
  }

  #heard(message: FromProcess): void {
    switch (message.kind) {
      case 'ready':
        clearTimeout(this.#loading);
        this.isReady = true;
        this.#ready.resolve();
        break;
      case 'load-failed':
        this.#ready.reject(new TaskProcessError(message.message));
        break;
      case 'begun':
        this.#hasBegun = true;
        break;
      case 'progress':
        this.#onProgress?.(message.fraction, message.note);
        break;
      case 'done':
      case 'failed':
        this.residentBytes = message.residentBytes ?? 0;
        // What it printed before is in another pipe, whose turn may come after this one's: in this round at the latest.
        setImmediate(() => this.#runEnded(message));
        break;
      default:
        message satisfies never;
    }
  }

  #runEnded(end: RunEnd): void {
    this.#limits.end();
    const onEnd = this.#onEnd;
    this.#onEnd = undefined;
    this.#onProgress = undefined;
    onEnd?.(end);
  }

  async #exited(code: number | null, signal: NodeJS.Signals | null, error?: Error): Promise<void> {
    if (this.isOver) return;
    clearTimeout(this.#loading);
    const wasReady = this.isReady;
    this.isOver = true;
    this.isReady = false;
    this.#options.onExit?.(wasReady);
    // What it printed last may still be in the pipe: it says why.
    if (!error) await Promise.race([closed(this.#child), sleep(LEAVE_MS)]);
    this.#tellEnding(code, signal);
    // Of one that was ready what it printed belongs to its run.
    if (!wasReady) {
      const why = error?.message ?? `${this.#death().error.message}; see the worker's log`;
      this.#ready.reject(new TaskProcessError(why, { cause: error }));
    }
    if (this.pid !== undefined) await this.tree.gone();
    if (this.pid !== undefined) this.#options.guard?.drop(this.pid);
    this.#over.resolve();
    this.#runEnded(this.#death());
  }

  #tellEnding(code: number | null, signal: NodeJS.Signals | null): void {
    const by = signal ?? (this.#notice.isGiven ? 'SIGKILL' : null);
    this.wasKilled = (by === 'SIGKILL' || by === 'SIGTERM') && this.#rubbish === undefined && !this.#overLimit;
    if (this.#rubbish !== undefined) this.ending = `wrote ${this.#rubbish} to file descriptor 3`;
    else this.ending = by === null ? `exited with code ${code}` : `was killed by ${by}`;
  }

  get #overLimit(): Exceeded | undefined {
    const isHeap = this.#output.includes('JavaScript heap out of memory');
    return this.#limits.exceeded ?? (isHeap ? this.#limits.overMemory : undefined);
  }

  /** What it is for the run that it was given last. */
  #death(): RunEnd & { readonly kind: 'failed' | 'unbegun' } {
    return { kind: this.#hasBegun ? 'failed' : 'unbegun', error: { name: 'TaskProcessError', ...this.#cause() } };
  }

  #cause(): Omit<TaskFailure, 'name'> {
    const { ending } = this;
    if (this.#rubbish !== undefined && !this.#overLimit) {
      return { code: 'CHANNEL_BROKEN', message: `it ${ending}, which is its channel to the worker` };
    }
    return this.#overLimit ?? { code: 'PROCESS_DIED', message: `its process ${ending} before it had a result` };
  }

  #send(message: ToProcess): void {
    this.#channel.send(message);
  }
}

const closed = (child: ChildProcess): Promise<void> => new Promise((resolve) => child.once('close', () => resolve()));
