import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { Logger } from '../../lifecycle/logger.ts';
import { Lifecycle, type Service } from '../../lifecycle/service.ts';
import { CHANNEL_VARIABLES, ProcessChannel } from '../../util/process-channel.ts';
import { sleep } from '../../util/sleep.ts';
import { type DevMessage, isDevMessage } from './messages.ts';
import type { EmbeddedKind } from './parent-servers.ts';

export interface SupervisorOptions {
  /** The bin, and the arguments that make it the child. */
  readonly module: string;
  readonly args: readonly string[];
  /** What the child is given. @default this process's own */
  readonly environment?: NodeJS.ProcessEnv;
  /** From SIGTERM to SIGKILL, in ms. @default 2000 */
  readonly graceMs?: number;
  readonly logger: Logger;
  /** The child has read the settings and says which folders it loads files from. */
  readonly onWatch: (paths: readonly string[]) => void;
  /** The child needs embedded servers of the project in this folder. @default not served */
  readonly onServe?: (root: string, kinds: readonly EmbeddedKind[]) => void;
}

export interface RestartOptions {
  /** What a waiting child has read already has changed: it is not used. @default false */
  readonly isCold?: boolean;
}

interface Child {
  readonly process: ChildProcess;
  readonly channel: ProcessChannel;
}

const STATES = ['off', 'running', 'ended', 'replacing'] as const;
type State = (typeof STATES)[number];
const MOVES: Readonly<Record<State, readonly State[]>> = {
  off: ['running'],
  running: ['ended', 'replacing', 'off'],
  ended: ['running', 'off'],
  replacing: ['running', 'off'],
};

/**
 * Keeps one child process running and replaces it when asked to.
 *
 *           start()               ended by itself
 *   off ───────────────▶ running ────────────────▶ ended ── restart() ──▶ running
 *    ▲                   │     ▲
 *    │         restart() ▼     │ the old one is gone
 *    └─ stop() ─────── replacing
 *
 * A second child waits beside it with everything loaded but the project's own files, so that a replacement is quick.
 */
export class Supervisor implements Service {
  readonly name: string;
  readonly #options: SupervisorOptions;
  readonly #lifecycle: Lifecycle;
  #process: State = 'off';
  #child: Child | undefined;
  #spare: Child | undefined;
  #replacing: Promise<void> | undefined;
  /** A change came while the last one was being served. */
  #isStale = false;

  constructor(name: string, options: SupervisorOptions) {
    this.name = name;
    this.#options = options;
    this.#lifecycle = new Lifecycle(name, {
      start: async () => this.#run(),
      stop: async () => {
        this.#isStale = false;
        await this.#replacing;
        this.#dropSpare();
        await this.#end();
        this.#move('off');
      },
    });
  }

  get state() {
    return this.#lifecycle.state;
  }
  start(): Promise<void> {
    return this.#lifecycle.start();
  }
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** Ends the child and starts another. Called again meanwhile, it starts once more after that. */
  restart({ isCold = false }: RestartOptions = {}): Promise<void> {
    if (this.state !== 'running') return Promise.resolve();
    if (isCold) this.#dropSpare();
    this.#isStale = true;
    this.#replacing ??= this.#replace().finally(() => {
      this.#replacing = undefined;
    });
    return this.#replacing;
  }

  async #replace(): Promise<void> {
    while (this.#isStale && this.state === 'running') {
      this.#isStale = false;
      if (this.#process === 'running') this.#move('replacing');
      await this.#end();
      if (this.state === 'running') this.#run();
    }
  }

  #run(): void {
    const child = this.#spare ?? this.#spawn();
    this.#spare = undefined;
    this.#child = child;
    this.#move('running');
    child.process.on('exit', (code, signal) => {
      if (child !== this.#child || this.#process !== 'running' || this.state === 'stopping') return;
      this.#move('ended');
      this.#options.logger.warn({ code, signal }, `${this.name} ended; it starts again when a file changes`);
      this.#keepSpare();
    });
    // A child that is gone already is told nothing: its exit is an event of its own.
    child.channel.send({ kind: 'go' } satisfies DevMessage);
  }

  #spawn(): Child {
    const { module, args, environment = process.env, logger } = this.#options;
    // A group of its own: Ctrl-C reaches the parent alone, which then asks the child once.
    const started = spawn(process.execPath, [...process.execArgv, module, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
      env: { ...environment, ...CHANNEL_VARIABLES },
      detached: true,
    });
    started.on('error', (error) => logger.error({ error }, `${this.name} could not be started`));
    // Without a file descriptor to spare Node makes no streams, whatever its types say.
    const streams: ChildProcess['stdio'] | undefined = started.stdio;
    const channel = new ProcessChannel(streams?.[3] as Duplex | undefined, {
      onMessage: (message) => this.#heard(child, message),
      onRubbish: (what) =>
        logger.warn(
          { pid: started.pid },
          `${this.name} wrote ${what} to file descriptor 3, which is its channel to this process: nothing more is ` +
            'heard of it until it starts again',
        ),
    });
    const child: Child = { process: started, channel };
    return child;
  }

  #heard(child: Child, message: unknown): void {
    if (!isDevMessage(message)) return;
    const { logger, onWatch, onServe } = this.#options;
    if (child === this.#spare && message.kind === 'waiting') {
      logger.debug({ pid: child.process.pid }, `${this.name}: the next one stands by`);
    }
    if (child !== this.#child) return;
    if (message.kind === 'watch') onWatch(message.paths);
    if (message.kind === 'serve') onServe?.(message.root, message.servers);
    if (message.kind === 'started') this.#keepSpare();
  }

  #keepSpare(): void {
    if (this.#spare || this.state === 'stopping') return;
    const spare = this.#spawn();
    this.#spare = spare;
    spare.process.once('exit', () => {
      if (this.#spare === spare) this.#spare = undefined;
    });
  }

  /** It has not begun anything that would need a drain. */
  #dropSpare(): void {
    this.#spare?.process.kill('SIGKILL');
    this.#spare = undefined;
  }

  async #end(): Promise<void> {
    const child = this.#child?.process;
    this.#child = undefined;
    if (!child || hasEnded(child)) return;
    const ended = once(child, 'exit');
    const given = new AbortController();
    child.kill('SIGTERM');
    const isLate = sleep(this.#options.graceMs ?? 2000, given.signal).then(() => !given.signal.aborted);
    if (await Promise.race([isLate, ended.then(() => false)])) {
      this.#options.logger.warn({ pid: child.pid }, `${this.name} did not drain in time and is killed`);
      child.kill('SIGKILL');
    }
    await ended;
    given.abort();
  }

  #move(to: State): void {
    if (!MOVES[this.#process].includes(to)) throw new Error(`${this.name}: no move from ${this.#process} to ${to}`);
    this.#process = to;
  }
}

/** Its `exit` event is gone then: waiting for it would hang. */
const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;
