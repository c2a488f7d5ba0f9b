import type { Logger } from '../../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../../lifecycle/service.ts';
import { maskUrl } from '../../util/mask.ts';
import { sleep } from '../../util/sleep.ts';
import { codeOf, isError, messageOf } from '../../util/thrown.ts';
import { type Holder, HostLock, type HostRecord, hideFromGit } from './host-lock.ts';

/** A server that one process serves to all of a folder. */
export interface HostedServer extends Service {
  readonly url: string;
  readonly port: number;
}

export interface SharedServerOptions {
  /** For lock files and logs. */
  readonly name: 'broker' | 'database';
  /** Where its state and its lock are. */
  readonly folder: string;
  /** Makes the server, should this process serve. @param onBroken to be called when it ends by itself */
  readonly create: (port: number, onBroken: () => void) => HostedServer;
  /**
   * Called with the URL of a server that this process makes after its own start, before others know of it: the folder
   * may be a new one.
   * @param signal aborts when it is stopped meanwhile, which waits for the end of the call
   */
  readonly onServedAnew?: ((url: string, signal: AbortSignal) => Promise<void>) | undefined;
  /** Whether this process may serve; else it waits for one that does. @default true */
  readonly canHost?: boolean;
  readonly logger: Logger;
}

/** How often a process that has joined looks whether its host still serves, and a host whether the lock is its own. */
const WATCH_MS = 200;
const HOST_WATCH_MS = 1000;
/** Then it is told what a start waits for. */
const PATIENCE_MS = 5000;

type Role =
  | { readonly kind: 'apart' }
  | { readonly kind: 'joined'; readonly host: HostRecord; readonly url: string }
  | { readonly kind: 'hosting'; readonly lock: HostLock; readonly server: HostedServer; isBroken: boolean };

/**
 * A server that the processes of one folder share: whoever takes the lock serves, the others join it.
 *
 *            the lock is free                       another holds it
 *   apart ─────────────────────▶ hosting     apart ──────────────────▶ joined
 *     ▲                             │          ▲                          │
 *     └─────────────────────────────┘          └──────────────────────────┘
 *       it broke down, or the folder             the host has stopped, or its
 *       was removed                              process is gone
 *
 * A new host serves where the last one did, when it can: clients then only connect again.
 */
export class SharedServer implements Service {
  readonly #options: SharedServerOptions & { readonly canHost: boolean };
  readonly #lifecycle: Lifecycle;
  #role: Role = { kind: 'apart' };
  #lastUrl: string | undefined;
  /** Where this process served last: its lock tells it to the next host, unless the folder is gone. */
  #lastPort: number | undefined;
  #hasStarted = false;
  #watching: Promise<void> = Promise.resolve();
  #end = new AbortController();

  constructor(options: SharedServerOptions) {
    this.#options = { canHost: true, ...options };
    this.#lifecycle = new Lifecycle(`embedded ${options.name}`, {
      start: (signal) => this.#start(signal),
      stop: () => this.#stop(),
    });
  }

  get name(): string {
    return this.#lifecycle.name;
  }
  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /** Resolves when this process serves or has joined one that does. */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }
  /** Resolves when all is written down, if this process served. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** Where it is served, or was last: it may be another place after a takeover. @throws NotRunningError */
  get url(): string {
    if (this.#lastUrl === undefined) this.#lifecycle.assertRunning();
    return this.#lastUrl ?? '';
  }
  /** Whether this process serves it. */
  get isHosting(): boolean {
    return this.#role.kind === 'hosting';
  }

  async #start(signal: AbortSignal): Promise<void> {
    this.#end = new AbortController();
    await this.#settle(signal, undefined);
    if (signal.aborted) return;
    this.#hasStarted = true;
    this.#watching = this.#watch(this.#end.signal);
  }

  async #stop(): Promise<void> {
    this.#end.abort();
    await this.#watching;
    await this.#leave();
    this.#hasStarted = false;
    this.#lastUrl = undefined;
  }

  /** Joins or hosts, whichever is possible first. */
  async #settle(signal: AbortSignal, lost: HostRecord | undefined): Promise<void> {
    const { name, logger } = this.#options;
    const startedMs = performance.now();
    let isTold = false;
    while (!signal.aborted && this.#role.kind === 'apart') {
      const found = await this.#look();
      const { state, url, pid } = found?.record ?? {};
      if (found?.isSure && state === 'serving' && url !== undefined) {
        this.#role = { kind: 'joined', host: found.record, url };
        this.#lastUrl = url;
        logger.info({ host: pid, url: maskUrl(url) }, `joined the embedded ${name} of another process`);
      } else if (found === undefined && this.#options.canHost) {
        await this.#host(signal, lost);
      } else {
        if (!isTold && performance.now() - startedMs > PATIENCE_MS) {
          isTold = true;
          logger.warn({ host: pid }, `waiting for another process to serve the embedded ${name}`);
        }
        await sleep(WATCH_MS / 4, signal);
      }
    }
  }

  #look(): Promise<Holder | undefined> {
    return HostLock.holder(this.#options.folder, this.#options.name);
  }

  async #host(signal: AbortSignal, lost: HostRecord | undefined): Promise<void> {
    const { name, folder, logger } = this.#options;
    const result = await HostLock.take(folder, name);
    if (result.kind === 'held') return;
    const { lock, previous } = result;
    try {
      await hideFromGit(folder);
      const server = await this.#serve(previous?.port ?? this.#lastPort ?? 0);
      this.#role = { kind: 'hosting', lock, server, isBroken: false };
      this.#lastUrl = server.url;
      this.#lastPort = server.port;
      if (this.#hasStarted) await this.#options.onServedAnew?.(server.url, signal);
      await lock.serving(server.url, server.port);
    } catch (error) {
      const release = () => lock.release(previous?.port);
      // What went wrong first is what is told.
      await this.#leave()
        .then(release, release)
        .catch(() => undefined);
      throw error;
    }
    if (signal.aborted) return;
    const fields = { url: maskUrl(this.#lastUrl), folder };
    if (lost) logger.warn({ ...fields, lost: lost.pid }, `took over the embedded ${name}: its host is gone`);
    else logger.info(fields, `serving the embedded ${name} to the processes of this project`);
  }

  /** On the port of the last host; on another when somebody has taken it meanwhile. */
  async #serve(port: number): Promise<HostedServer> {
    const create = (on: number): HostedServer =>
      this.#options.create(on, () => {
        if (this.#role.kind === 'hosting' && this.#role.server === server) this.#role.isBroken = true;
      });
    let server = create(port);
    try {
      await server.start();
    } catch (error) {
      if (port === 0 || !isPortTaken(error)) throw error;
      server = create(0);
      await server.start();
    }
    return server;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let told: string | undefined;
    while (!signal.aborted) {
      await sleep(this.#role.kind === 'hosting' ? HOST_WATCH_MS : WATCH_MS, signal);
      if (signal.aborted) return;
      try {
        await this.#check(signal);
        told = undefined;
      } catch (error) {
        // Five times a second the same says no more than once.
        const trouble = this.#trouble;
        const tells = `${trouble}: ${messageOf(error)}`;
        if (told !== tells) this.#options.logger.error({ error }, trouble);
        told = tells;
      }
    }
  }

  /** Whoever cannot look at the lock goes on as before: a host that gave up for it would cut off all that it serves. */
  get #trouble(): string {
    const { name } = this.#options;
    if (this.#role.kind === 'apart') return `the embedded ${name} could not be taken over; trying again`;
    return `the lock of the embedded ${name} cannot be looked at; it is used as before, and looked at again`;
  }

  async #check(signal: AbortSignal): Promise<void> {
    const { name, logger } = this.#options;
    const role = this.#role;
    switch (role.kind) {
      case 'apart':
        return this.#settle(signal, undefined);
      case 'joined': {
        const { state, url, pid } = (await this.#look())?.record ?? {};
        if (state === 'serving' && url === role.url && pid === role.host.pid) return;
        this.#role = { kind: 'apart' };
        return this.#settle(signal, role.host);
      }
      case 'hosting':
        if (!role.isBroken && (await role.lock.isOurs())) return;
        logger.error({}, `the embedded ${name} broke down, or its folder was removed: starting it anew`);
        await this.#leave();
        return this.#settle(signal, undefined);
      default:
        role satisfies never;
    }
  }

  async #leave(): Promise<void> {
    const role = this.#role;
    this.#role = { kind: 'apart' };
    if (role.kind !== 'hosting') return;
    try {
      await role.server.stop();
    } finally {
      // One that broke down by itself has no port any more.
      await role.lock.release(this.#lastPort);
    }
  }
}

function isPortTaken(error: unknown): boolean {
  const cause = isError(error) ? error.cause : undefined;
  return codeOf(cause) === 'EADDRINUSE';
}
