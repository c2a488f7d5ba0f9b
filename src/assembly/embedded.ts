import type { BrokerConnectionOptions } from '../broker/connection.ts';
import { sqlState } from '../database/database-error.ts';
import { migrate } from '../database/migrate.ts';
import { DatabasePool } from '../database/pool.ts';
import type { PoolOptions } from '../database/pool-options.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Service } from '../lifecycle/service.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import { type EmbeddedUrl, isEmbeddedUrl } from '../util/embedded-url.ts';
import { onAbort } from '../util/on-abort.ts';
import { EmbeddedServer, type EmbeddedServerOptions } from './embedded-server.ts';

/** Where broker and database answer. With credentials: not for logs. */
export interface Endpoints {
  /** At least one. */
  readonly brokerUrls: readonly string[];
  readonly databaseUrl: string | undefined;
}

/** A server of this machine that comes back soon: another process takes it over. */
const EMBEDDED_BACKOFF = Object.freeze({ initialMs: 50, maxMs: 250 });

/** A server, and where it answers once it has started. */
export interface UrlService extends Service {
  readonly url: string;
}

/** Stand-ins for what `embedded:` URLs start. */
export interface EmbeddedServers {
  readonly broker: UrlService;
  readonly database: UrlService;
}

export interface EmbeddedOptions {
  /** Whether this process may serve them to others; else it waits for one that does. */
  readonly canHost: boolean;
  readonly logger: Logger;
  /** @default servers of the project's, or in memory, as the URLs say */
  readonly servers?: EmbeddedServers | undefined;
}

/**
 * The embedded servers that the settings ask for. Whatever connects first starts them, and they run until `stop`: what
 * a role has published must not go with it.
 */
export class Embedded {
  readonly broker: EmbeddedServer | undefined;
  readonly database: EmbeddedServer | undefined;
  readonly #settings: ResolvedSettings;
  readonly #hasGivenServers: boolean;
  /** Files that the database was brought up to date by when it started. */
  #migrated: string[] = [];

  constructor(settings: ResolvedSettings, { canHost, logger, servers }: EmbeddedOptions) {
    const { root, brokerUrls, databaseUrl, schema } = settings;
    const server = (kind: 'broker' | 'database', url: EmbeddedUrl, onStarted?: EmbeddedServerOptions['onStarted']) =>
      new EmbeddedServer({
        kind,
        url,
        root,
        canHost,
        logger,
        given: servers?.[kind],
        ...(onStarted ? { onStarted } : {}),
      });
    const [brokerUrl] = brokerUrls;
    this.#settings = settings;
    this.#hasGivenServers = servers !== undefined;
    this.broker = isEmbeddedUrl(brokerUrl) ? server('broker', brokerUrl) : undefined;
    this.database = isEmbeddedUrl(databaseUrl)
      ? server('database', databaseUrl, async (url, signal) => {
          // Nothing else runs before a start: it waits for whoever has the database, as for one that is down.
          this.#migrated = await withPool(url, signal, (pool) =>
            patiently(() => migrate(pool.knex, { schema, wait: false })),
          );
        })
      : undefined;
  }

  /** Servers of a test harness: nobody else is on them. */
  get hasGivenServers(): boolean {
    return this.#hasGivenServers;
  }

  /** How connections reach the broker. */
  brokerOptions(): Pick<BrokerConnectionOptions, 'url' | 'ready' | 'backoff'> {
    const { broker } = this;
    if (!broker) return { url: this.#settings.brokerUrls };
    return { url: () => broker.url, ready: () => broker.start(), backoff: EMBEDDED_BACKOFF };
  }

  /** How a pool reaches the database. @param url of the settings, when it is not embedded */
  databaseOptions(url: () => string): Pick<PoolOptions, 'url' | 'ready'> {
    const { database } = this;
    if (!database) return { url: url() };
    return { url: () => database.url, ready: () => database.start() };
  }

  /** Migrations that ran at the start of the database, told once. */
  takeMigrated(): string[] {
    const migrated = this.#migrated;
    this.#migrated = [];
    return migrated;
  }

  async endpoints(): Promise<Endpoints> {
    const { broker, database } = this;
    await Promise.all([broker?.start(), database?.start()]);
    const { brokerUrls, databaseUrl } = this.#settings;
    return { brokerUrls: broker ? [broker.url] : brokerUrls, databaseUrl: database?.url ?? databaseUrl };
  }

  async stop(): Promise<void> {
    await Promise.all([this.broker?.stop(), this.database?.stop()]);
  }
}

async function withPool<T>(url: string, signal: AbortSignal, work: (pool: DatabasePool) => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const pool = new DatabasePool({ url, max: 1 });
  const forget = onAbort(signal, () => void pool.stop().catch(() => undefined));
  try {
    await pool.start();
    return await work(pool);
  } finally {
    forget();
    await pool.stop();
  }
}

const TRIES = 6;

/** A transaction of another process may hold the one backend for longer than a statement waits. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await work();
    } catch (error) {
      if (sqlState(error) !== '55P03' || tried === TRIES) throw error;
    }
  }
}
