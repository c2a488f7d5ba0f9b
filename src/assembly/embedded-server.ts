import { join } from 'node:path';
import { folderSecret } from '../embedded/hosting/folder-secret.ts';
import type { HostedServer } from '../embedded/hosting/shared-server.ts';
import { EmbeddedStateError, SvcCommError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { SharedService } from '../lifecycle/shared.ts';
import type { EmbeddedUrl } from '../util/embedded-url.ts';
import { onAbort } from '../util/on-abort.ts';
import { messageOf } from '../util/thrown.ts';

export interface EmbeddedServerOptions {
  readonly kind: 'broker' | 'database';
  readonly url: EmbeddedUrl;
  /** The project's folder: state is kept in `.svc-comm` of it. */
  readonly root: string;
  /** Whether this process may serve others; else it waits for one that does. */
  readonly canHost: boolean;
  readonly logger: Logger;
  /** Used instead of one that is made. */
  readonly given?: (Service & { readonly url: string }) | undefined;
  /**
   * Called with its URL when it has started, or is served anew by this process, before anybody uses it.
   * @param signal aborts when it is stopped meanwhile, which waits for the end of the call
   */
  readonly onStarted?: (url: string, signal: AbortSignal) => Promise<void>;
}

/** Where a project's embedded servers keep their state. */
export const stateFolder = (root: string): string => join(root, '.svc-comm');

/** The services of one process that want an embedded broker in memory talk to each other over one. */
let memoryBroker: Promise<SharedService<HostedServer>> | undefined;

/** An embedded broker or database, whose code is loaded when it starts. */
export class EmbeddedServer implements Service {
  readonly #options: EmbeddedServerOptions;
  readonly #lifecycle: Lifecycle;
  #server: (Service & { readonly url: string }) | undefined;

  constructor(options: EmbeddedServerOptions) {
    this.#options = options;
    this.#lifecycle = new Lifecycle(`embedded ${options.kind}`, {
      start: async (signal) => {
        const server = await this.#begin(signal);
        await options.onStarted?.(server.url, signal);
      },
      stop: async () => {
        await this.#server?.stop();
        this.#server = undefined;
      },
    });
  }

  get name(): string {
    return this.#lifecycle.name;
  }
  get state(): ServiceState {
    return this.#lifecycle.state;
  }
  start(): Promise<void> {
    return this.#lifecycle.start();
  }
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** Where it is now. @throws NotRunningError (SVC_COMM_NOT_RUNNING) */
  get url(): string {
    if (!this.#server) this.#lifecycle.assertRunning();
    return this.#server?.url ?? '';
  }

  async #begin(signal: AbortSignal): Promise<Service & { readonly url: string }> {
    const { given, kind, url, root } = this.#options;
    // It may be waiting for whoever has the lock to serve.
    const forget = onAbort(signal, () => void this.#server?.stop().catch(() => undefined));
    try {
      const server = given ?? (await (url === 'embedded:' ? this.#shared() : this.#inMemory()));
      this.#server = server;
      signal.throwIfAborted();
      await server.start();
      return server;
    } catch (cause) {
      // What is left is the file system's, or PostgreSQL's about what it found there.
      if (given || url !== 'embedded:' || signal.aborted || cause instanceof SvcCommError) throw cause;
      const why = messageOf(cause);
      throw new EmbeddedStateError(kind, stateFolder(root), why, { cause });
    } finally {
      forget();
    }
  }

  async #shared(): Promise<Service & { readonly url: string }> {
    const { kind, root, canHost, logger, onStarted: onServedAnew } = this.#options;
    const { SharedServer } = await import('../embedded/hosting/shared-server.ts');
    const folder = stateFolder(root);
    const create = kind === 'broker' ? await brokerIn(folder, logger) : await databaseIn(folder, logger);
    return new SharedServer({ name: kind, folder, create, canHost, logger, onServedAnew });
  }

  async #inMemory(): Promise<Service & { readonly url: string }> {
    const { kind, logger } = this.#options;
    if (kind === 'database') return (await databaseIn(undefined, logger))(0, () => undefined);
    memoryBroker ??= brokerIn(undefined, logger).then((create) => new SharedService(create(0, () => undefined)));
    const shared = await memoryBroker;
    const use = shared.use();
    return Object.defineProperty(use, 'url', { get: () => shared.service.url }) as Service & { readonly url: string };
  }
}

type Create = (port: number, onBroken: () => void) => HostedServer;

async function brokerIn(folder: string | undefined, logger: Logger): Promise<Create> {
  const { EmbeddedBroker } = await import('../embedded/broker/embedded-broker.ts');
  const kept =
    folder === undefined
      ? {}
      : { stateFile: join(folder, 'broker.journal'), users: { 'svc-comm': await folderSecret(folder) } };
  return (port, onBroken) => new EmbeddedBroker({ port, logger, onBroken, ...kept });
}

async function databaseIn(folder: string | undefined, logger: Logger): Promise<Create> {
  const { EmbeddedDatabase } = await import('../embedded/database/embedded-database.ts');
  const kept = folder === undefined ? {} : { folder: join(folder, 'database'), password: await folderSecret(folder) };
  return (port, onBroken) => new EmbeddedDatabase({ port, logger, onBroken, ...kept });
}
