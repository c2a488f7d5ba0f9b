import { EmbeddedServer } from '../../assembly/embedded-server.ts';
import type { Logger } from '../../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../../lifecycle/service.ts';

/** The embedded servers that the child of a `dev*` command asks for: in its parent they outlive every restart. */
export class ParentServers implements Service {
  readonly name = 'embedded servers';
  readonly #logger: Logger;
  readonly #lifecycle: Lifecycle;
  readonly #servers = new Map<string, EmbeddedServer>();

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#lifecycle = new Lifecycle(this.name, {
      start: async () => undefined,
      stop: async () => {
        const servers = [...this.#servers.values()];
        this.#servers.clear();
        await Promise.all(servers.map((server) => server.stop()));
      },
    });
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

  /** Serves these for the project, or joins another process that does and takes over from it when it ends. */
  serve(root: string, kinds: readonly EmbeddedKind[]): void {
    for (const kind of kinds) {
      const key = `${kind} ${root}`;
      if (this.#servers.has(key)) continue;
      const server = new EmbeddedServer({ kind, url: 'embedded:', root, canHost: true, logger: this.#logger });
      this.#servers.set(key, server);
      server.start().catch((error: unknown) => {
        this.#servers.delete(key);
        if (this.state === 'running') this.#logger.error({ error }, `the embedded ${kind} could not be started`);
      });
    }
  }
}

export type EmbeddedKind = 'broker' | 'database';
