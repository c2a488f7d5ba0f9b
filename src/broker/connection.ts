import type { ChannelModel } from 'amqplib';
import { BrokerAccessRefusedError, BrokerTlsError, BrokerUnavailableError } from '../errors.ts';
import { type Logger, silentLogger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { type BackoffOptions, backoffMs, RECONNECT_BACKOFF } from '../util/backoff.ts';
import { sleep } from '../util/sleep.ts';
import { unlessAborted } from '../util/unless-aborted.ts';
import { type Waits, waitsUntilMs } from '../util/waits.ts';
import { type BrokerNode, parseBrokerUrls } from './broker-url.ts';
import { closeModel, destroySocket } from './close-model.ts';
import { type ConnectionListener, ListenerSet, type OpenConnection } from './connection-listener.ts';
import { afterFailure, type ConnectionState, move } from './connection-state.ts';
import { NodeRing } from './node-ring.ts';

export interface BrokerConnectionOptions {
  /** For logs, errors and the broker's list of connections, e.g. `orders publish`. */
  readonly name: string;
  /** One URL, or one for each node of a cluster; a function is asked before each attempt, for a server that moves. */
  readonly url: string | readonly string[] | (() => string);
  /** Whether, and for how long, `start` waits for a broker that is down; each node is tried once at least. @default true */
  readonly wait?: Waits;
  /** For URLs without `?heartbeat=`, rounded up to whole seconds; 0 turns heartbeats off. @default 30_000 */
  readonly heartbeatMs?: number;
  /** Connect and handshake together. @default 10_000 */
  readonly connectTimeoutMs?: number;
  /** Then the socket is destroyed. @default 5_000 */
  readonly closeTimeoutMs?: number;
  readonly backoff?: BackoffOptions;
  /** Awaited by `start` before the first attempt: a server of ours that has to run first. */
  readonly ready?: () => Promise<void>;
  readonly logger?: Logger;
}

type ResolvedOptions = Required<Omit<BrokerConnectionOptions, 'url'>>;

export const DEFAULT_BROKER_CONNECTION_OPTIONS = Object.freeze({
  wait: true,
  heartbeatMs: 30_000,
  connectTimeoutMs: 10_000,
  closeTimeoutMs: 5_000,
  backoff: RECONNECT_BACKOFF,
  ready: async () => undefined,
  logger: silentLogger,
});

/** A connection that was open for less than this when it was lost does not reset the back-off. */
const STABLE_MS = 5_000;
const TELL_AGAIN_MS = 10_000;

/**
 * A connection to the broker that comes back by itself. `connection-state.ts` has the picture.
 * `start` resolves when it is open.
 * @throws BrokerAccessRefusedError (SVC_COMM_BROKER_ACCESS_REFUSED), BrokerTlsError (SVC_COMM_BROKER_TLS) from `start`, at
 * once
 * @throws BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE) from `start` with `wait: false`
 */
export class BrokerConnection implements Service {
  readonly name: string;
  readonly stats = { connects: 0, reconnects: 0, failures: 0 };
  readonly #options: ResolvedOptions;
  readonly #nodes: NodeRing;
  readonly #lifecycle: Lifecycle;
  readonly #listeners: ListenerSet;
  #connectionState: ConnectionState = 'idle';
  #current: OpenConnection | undefined;
  #blockedReason: string | undefined;
  #run = new AbortController();
  #reconnecting: Promise<void> = Promise.resolve();
  /** Failed rounds and short-lived connections in a row: the exponent of the back-off. */
  #failuresInRow = 0;
  /** The failure that was logged last, since it was open. */
  #told: { readonly error: string; readonly atMs: number } | undefined;
  #openedAt = 0;

  constructor({ url, ...options }: BrokerConnectionOptions) {
    this.#options = { ...DEFAULT_BROKER_CONNECTION_OPTIONS, ...options };
    this.name = options.name;
    const { heartbeatMs, connectTimeoutMs } = this.#options;
    const dialOptions = { connectionName: this.name, heartbeatMs, timeoutMs: connectTimeoutMs };
    this.#nodes = new NodeRing(typeof url === 'function' ? () => parseBrokerUrls(url()) : fixed(url), dialOptions);
    this.#listeners = new ListenerSet(this.#options.logger);
    this.#lifecycle = new Lifecycle(options.name, { start: (signal) => this.#start(signal), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /** Masked, for texts. */
  get urls(): readonly string[] {
    return this.#nodes.urls;
  }

  get connectionState(): ConnectionState {
    return this.#connectionState;
  }

  /** undefined while there is no open connection. */
  get current(): OpenConnection | undefined {
    return this.#current;
  }

  /** The broker's words when it has stopped taking publishes (memory or disk alarm), else undefined. */
  get blockedReason(): string | undefined {
    return this.#blockedReason;
  }

  /** The broker's version, e.g. `3.10.8`; undefined before the first connection. */
  get serverVersion(): string | undefined {
    return this.#serverVersion;
  }
  #serverVersion: string | undefined;

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** Tells of every open, loss, block and unblock from now on. @returns ends it */
  listen(listener: ConnectionListener): () => void {
    return this.#listeners.add(listener);
  }

  /** The open connection, at once or as soon as there is one. Rejects only with the signal's reason. */
  whenOpen(signal: AbortSignal): Promise<OpenConnection> {
    if (this.#current) return Promise.resolve(this.#current);
    return this.#listeners.nextOpen(signal);
  }

  /** Gives up a connection that answers no longer, though TCP and heartbeats may still look well; another node is next. */
  recycle(epoch: number, error: Error): void {
    if (this.#current?.epoch === epoch) this.#nodes.skip();
    this.#lost(epoch, error);
  }

  /** @param detail why there is none; no credentials */
  unavailable(detail: string, cause?: unknown): BrokerUnavailableError {
    return new BrokerUnavailableError(this.urls, detail, cause === undefined ? {} : { cause });
  }

  async #start(signal: AbortSignal): Promise<void> {
    this.#run = new AbortController();
    this.#failuresInRow = 0;
    const run = this.#run;
    const abort = () => run.abort();
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      await unlessAborted(this.#options.ready(), run.signal);
      await this.#connect(run.signal, false);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async #stop(): Promise<void> {
    this.#run.abort();
    await this.#reconnecting;
    const open = this.#current;
    if (this.#connectionState === 'idle') return;
    this.#move('closing');
    this.#current = undefined;
    this.#blockedReason = undefined;
    try {
      if (open) {
        // Before the socket goes: what is in flight must hear of it even if the close takes its full time.
        this.#listeners.lost(this.unavailable('the connection was stopped'));
        await closeModel(open.model, this.#options.closeTimeoutMs);
      }
    } finally {
      this.#move('idle');
    }
  }

  /** Resolves when open, or when the signal aborts. Rejects when `afterFailure` says so. */
  async #connect(signal: AbortSignal, hasBeenOpen: boolean): Promise<void> {
    const untilMs = waitsUntilMs(this.#options.wait);
    while (!signal.aborted) {
      this.#move('connecting');
      const result = await this.#nodes.round(signal);
      if (signal.aborted) {
        if (result.kind === 'open') destroySocket(result.model);
        break;
      }
      if (result.kind === 'open') {
        this.#opened(result.model, result.node);
        break;
      }
      const { error } = result;
      this.stats.failures += 1;
      const isRefused = error instanceof BrokerAccessRefusedError || error instanceof BrokerTlsError;
      const wait = performance.now() < untilMs;
      if (afterFailure({ hasBeenOpen, isRefused, wait }) === 'closed') throw error;
      const delayMs = backoffMs(this.#failuresInRow++, this.#options.backoff);
      this.#tellFailure(error.message, { delayMs, isRefused });
      this.#move('waiting');
      await sleep(delayMs, signal);
    }
  }

  /** Where the tries are close together, the same failure again and again says nothing more. */
  #tellFailure(error: string, { delayMs, isRefused }: { readonly delayMs: number; readonly isRefused: boolean }): void {
    const nowMs = performance.now();
    if (this.#told?.error === error && nowMs - this.#told.atMs < TELL_AGAIN_MS) return;
    this.#told = { error, atMs: nowMs };
    const fields = { connection: this.name, error, delayMs, attempt: this.#failuresInRow };
    if (isRefused) this.#options.logger.error(fields, 'the broker refuses us now; trying again');
    else this.#options.logger.warn(fields, 'waiting for the broker');
  }

  #opened(model: ChannelModel, node: BrokerNode): void {
    this.#told = undefined;
    const epoch = this.stats.connects + 1;
    // amqplib tells of a loss by `error`, `close` or both; whichever comes first counts.
    model.on('error', (error: Error) => this.#lost(epoch, error));
    model.on('close', (error?: Error) => this.#lost(epoch, error ?? new Error('closed by the broker')));
    model.on('blocked', (reason: string) => this.#blocked(epoch, reason));
    model.on('unblocked', () => this.#unblocked(epoch));
    this.stats.connects = epoch;
    if (epoch > 1) this.stats.reconnects += 1;
    this.#current = { epoch, model };
    this.#openedAt = performance.now();
    this.#serverVersion = model.connection.serverProperties.version;
    this.#move('open');
    const fields = { connection: this.name, url: node.masked, epoch, version: this.#serverVersion };
    this.#options.logger.info(fields, 'connected to the broker');
    this.#listeners.opened(this.#current);
  }

  /** All losses meet here; of one connection only the first counts. */
  #lost(epoch: number, error: Error): void {
    const open = this.#current;
    if (open?.epoch !== epoch) return;
    this.#current = undefined;
    this.#blockedReason = undefined;
    destroySocket(open.model);
    if (performance.now() - this.#openedAt >= STABLE_MS) this.#failuresInRow = 0;
    const delayMs = backoffMs(this.#failuresInRow++, this.#options.backoff);
    this.#options.logger.warn({ connection: this.name, epoch, error: error.message, delayMs }, 'lost the broker');
    this.#move('waiting');
    this.#listeners.lost(error);
    const { signal } = this.#run;
    this.#reconnecting = sleep(delayMs, signal)
      .then(() => this.#connect(signal, true))
      .catch((defect: unknown) => this.#options.logger.error({ error: defect }, 'reconnecting has failed'));
  }

  #blocked(epoch: number, reason: string): void {
    if (this.#current?.epoch !== epoch) return;
    this.#blockedReason = reason;
    this.#options.logger.warn({ connection: this.name, reason }, 'the broker takes no publishes for now');
    this.#listeners.blocked(reason);
  }

  #unblocked(epoch: number): void {
    if (this.#current?.epoch !== epoch) return;
    this.#blockedReason = undefined;
    this.#options.logger.info({ connection: this.name }, 'the broker takes publishes again');
    this.#listeners.unblocked();
  }

  #move(to: ConnectionState): void {
    this.#connectionState = move(this.#connectionState, to);
  }
}

function fixed(url: string | readonly string[]): () => ReturnType<typeof parseBrokerUrls> {
  const nodes = parseBrokerUrls(url);
  return () => nodes;
}
