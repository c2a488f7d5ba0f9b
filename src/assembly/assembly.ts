import { join } from 'node:path';
import { BrokerConnection, type BrokerConnectionOptions } from '../broker/connection.ts';
import { BrokerPublisher, type BrokerPublisherOptions } from '../broker/publisher.ts';
import { FileStartMarks } from '../consumer/file-start-marks.ts';
import type { HandlingOptions } from '../consumer/workings.ts';
import { connectDatabase, type DatabaseConnection } from '../database/connection.ts';
import { DatabaseClock } from '../database/database-clock.ts';
import { InboxStore } from '../database/inbox-store.ts';
import { migrate } from '../database/migrate.ts';
import { outageOfHandler } from '../database/outage-of-handler.ts';
import { DatabasePool } from '../database/pool.ts';
import { StartMarkStore } from '../database/start-mark-store.ts';
import { describeHolders } from '../database/table-holders.ts';
import { knexTransactions, resolveTransactions, Transactions } from '../database/transactions.ts';
import { SettingsError } from '../errors.ts';
import { type Clock, systemClock } from '../lifecycle/clock.ts';
import { group } from '../lifecycle/group.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Service } from '../lifecycle/service.ts';
import { SharedService } from '../lifecycle/shared.ts';
import { Outbox } from '../outbox/outbox.ts';
import { type ProcessRegistry, processRegistry } from '../process/registry.ts';
import type { MessageRouter } from '../router/router.ts';
import { exchangeTypes, jsonLimits } from '../settings/parts.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import { type TaskRegistry, taskRegistry } from '../task/registry.ts';
import { Meters } from '../telemetry/meters.ts';
import { Readiness } from '../telemetry/readiness.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import { once } from '../util/once.ts';
import { sleep } from '../util/sleep.ts';
import { Embedded, type EmbeddedServers } from './embedded.ts';

const CLOCK_WAIT_MS = 1_000;
/** Between two tries to measure the database's time, when one has failed. */
const CLOCK_AGAIN_MS = 60_000;

export interface Surroundings {
  readonly logger: Logger;
  readonly messageRouter: MessageRouter;
  readonly taskRegistry?: TaskRegistry | undefined;
  readonly processRegistry?: ProcessRegistry | undefined;
  /** Whether this process may serve the embedded servers of the project to others. @default true */
  readonly canHost?: boolean | undefined;
  /** What deadlines are held against. @default the database's time, without one this machine's */
  readonly clock?: Clock | undefined;
  readonly embeddedServers?: EmbeddedServers | undefined;
}

/**
 * The parts that the roles of one service are composed of. What several roles share (pool, transactions, outbox, inbox)
 * is made once, when it is first asked for. Connections to the broker are each role's own: one that is stopped takes
 * nothing from the others. A role is a function of this folder that puts its parts in their order of start.
 */
export class Assembly {
  readonly settings: ResolvedSettings;
  readonly logger: Logger;
  readonly messageRouter: MessageRouter;
  readonly taskRegistry: TaskRegistry;
  readonly processRegistry: ProcessRegistry;
  readonly embedded: Embedded;
  readonly meters = new Meters();
  readonly readiness = new Readiness();
  readonly telemetry: Telemetry;

  readonly #givenClock: Clock | undefined;

  constructor(settings: ResolvedSettings, surroundings: Surroundings) {
    const { logger, messageRouter, canHost = true, clock, embeddedServers } = surroundings;
    this.settings = settings;
    this.#givenClock = clock;
    this.logger = logger;
    this.messageRouter = messageRouter;
    this.taskRegistry = surroundings.taskRegistry ?? taskRegistry;
    this.telemetry = new Telemetry({ spans: settings.telemetry.spans, meters: this.meters });
    this.meters.add(() => this.readiness.readings);
    this.processRegistry = surroundings.processRegistry ?? processRegistry;
    this.embedded = new Embedded(settings, { canHost, logger, servers: embeddedServers });
  }

  readonly pool = once(
    () =>
      new DatabasePool({
        ...this.embedded.databaseOptions(() => this.databaseUrl()),
        max: this.settings.pool.max,
        wait: this.settings.wait,
        connectTimeoutMs: this.settings.connectTimeoutMs,
        applicationName: this.settings.appId,
        logger: this.logger,
      }),
  );

  /** Those of the user's library when the settings say so: then our pool is not needed for them. */
  readonly transactions = once(() => {
    const setting = this.settings.transactions ?? knexTransactions();
    return typeof setting === 'function'
      ? new Transactions({ open: setting, schema: this.settings.schema, logger: this.logger })
      : resolveTransactions(setting, this.pool(), this.settings.schema, this.logger);
  });

  readonly outbox = once(() => {
    const { telemetry } = this;
    const { appId, schema } = this.settings;
    const limits = jsonLimits(this.settings);
    const transactions = this.transactions();
    // With a handle of the caller's, or in a transaction that is open already, our own pool is not needed.
    const ready = async () => (this.usesOwnPool ? this.pool().start() : undefined);
    return new Outbox({ transactions, appId, schema, limits, telemetry, ready });
  });

  readonly inboxStore = once(() => new InboxStore({ transactions: this.transactions(), schema: this.settings.schema }));

  /** What handling messages takes of the database. */
  databaseParts(): Pick<HandlingOptions, 'inbox' | 'scheduler' | 'inTransaction' | 'asOutage'> {
    if (!this.hasDatabase) return {};
    const outbox = this.outbox();
    return {
      inbox: this.inboxStore(),
      scheduler: outbox.scheduler(),
      inTransaction: outbox.bind('ambient', 'an answer'),
      asOutage: outageOfHandler(this.settings.databaseUrl, this.transactions()),
    };
  }

  readonly #databaseClock = once(() => new DatabaseClock({ transactions: this.transactions(), logger: this.logger }));
  readonly #sharedClock = once(() => new SharedService(this.#databaseClock()));

  readonly #clockService = once(() => group('clock', [...this.poolServices(), ...this.clockServices()]));

  /** What deadlines are held against: the database's time once that is known. */
  clock(): Clock {
    return this.#givenClock ?? (this.hasDatabase ? this.#databaseClock() : systemClock);
  }

  /** Behind the pool in the order of start. What the clock knows it keeps when it is stopped. */
  clockServices(): Service[] {
    return this.hasDatabase ? [this.#sharedClock().use()] : [];
  }

  #clockTriedMs = Number.NEGATIVE_INFINITY;

  /**
   * For those who send deadlines and need no database otherwise: one that is down holds them up only this once. They go
   * on by this machine's time, and it is tried again beside what they send later.
   */
  async clockKnown(): Promise<void> {
    if (!this.hasDatabase) return;
    const isFirst = !this.#clockService.isMade;
    const clock = this.#clockService();
    const hasFailed = clock.startError !== undefined && performance.now() - this.#clockTriedMs >= CLOCK_AGAIN_MS;
    if (!isFirst && !hasFailed) return;
    this.#clockTriedMs = performance.now();
    const known = clock.start().catch(() => undefined);
    if (isFirst) await Promise.race([known, sleep(CLOCK_WAIT_MS)]);
  }

  /** Gives back what all roles share. */
  async stop(): Promise<void> {
    await this.meters.close();
    if (this.#clockService.isMade) await this.#clockService().stop();
    if (this.pool.isMade) await this.pool().stop();
    await this.embedded.stop();
  }

  /** In the database, where every process of the service sees them; without one, in the project's folder. */
  readonly startMarks = once((): StartMarkStore | FileStartMarks =>
    this.hasDatabase
      ? new StartMarkStore({ transactions: this.transactions(), schema: this.settings.schema })
      : new FileStartMarks(join(this.settings.root, '.svc-comm', 'start-marks'), this.logger),
  );

  get usesOwnPool(): boolean {
    return typeof this.settings.transactions !== 'function';
  }

  get hasDatabase(): boolean {
    return this.settings.databaseUrl !== undefined || !this.usesOwnPool;
  }

  readonly #sharedPool = once(() => new SharedService(this.pool()));

  /** Our own pool, for roles that use it: first in their order of start. It runs until the last of them has stopped. */
  poolServices(): Service[] {
    return this.hasDatabase && this.usesOwnPool ? [this.#sharedPool().use()] : [];
  }

  /** A database connection outside the pool. */
  async connect(name: string, settings: Readonly<Record<string, string>> = {}): Promise<DatabaseConnection> {
    const { appId, connectTimeoutMs } = this.settings;
    const { database } = this.embedded;
    await database?.start();
    return connectDatabase({
      url: database?.url ?? this.databaseUrl(),
      applicationName: `${appId} ${name}`,
      connectTimeoutMs,
      // One backend serves all sessions: what one sets, all would have.
      settings: database ? {} : settings,
    });
  }

  /** For one question, outside the pool. */
  async withConnection<T>(name: string, work: (connection: DatabaseConnection) => Promise<T>): Promise<T> {
    const connection = await this.connect(name);
    try {
      return await work(connection);
    } finally {
      await connection.close();
    }
  }

  /** A connection to the broker. @param role what the broker's list of connections calls it, behind the app id */
  connection(role: string, others: Pick<BrokerConnectionOptions, 'logger' | 'closeTimeoutMs'> = {}): BrokerConnection {
    const { appId, wait, heartbeatMs, connectTimeoutMs } = this.settings;
    return new BrokerConnection({
      name: `${appId} ${role}`,
      ...this.embedded.brokerOptions(),
      wait,
      heartbeatMs,
      connectTimeoutMs,
      logger: this.logger,
      ...others,
    });
  }

  publisher(
    connection: BrokerConnection,
    more: Pick<BrokerPublisherOptions, 'replies' | 'exchangeRestMs'> = {},
  ): BrokerPublisher {
    const { declare, publish, limits } = this.settings;
    return new BrokerPublisher({
      connection,
      declare,
      exchangeTypes: exchangeTypes(this.settings),
      ...publish,
      maxBodyBytes: limits.bodyBytes,
      ...more,
      logger: this.logger,
    });
  }

  /** Brings our tables up to this version. @returns the files that ran, also at the start of the embedded database */
  async migrate(): Promise<string[]> {
    const { logger } = this;
    const { schema, wait } = this.settings;
    await this.pool().start();
    const ran = await migrate(this.pool().knex, {
      schema,
      wait,
      onBlocked: (holders) =>
        logger.warn({ holders }, `the tables wait to be changed, locked by ${describeHolders(holders)}; trying again`),
    });
    return [...this.embedded.takeMigrated(), ...ran];
  }

  /** @throws SettingsError (SVC_COMM_SETTINGS) when none is set */
  databaseUrl(): string {
    const { databaseUrl } = this.settings;
    if (databaseUrl !== undefined) return databaseUrl;
    const expected = "a URL such as 'postgres://user:password@host:5432/database'";
    throw new SettingsError([{ setting: 'databaseUrl', expected, got: 'nothing', from: 'what this command needs' }]);
  }
}
