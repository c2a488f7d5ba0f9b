import { BrokerConnection } from './broker/connection.ts';
import { BrokerPublisher } from './broker/publisher.ts';
import { BrokerQueueReader } from './broker/queue-reader.ts';
import { BrokerSubscriber } from './broker/subscriber.ts';
import { BrokerTopology } from './broker/topology.ts';
import { Consumer } from './consumer/consumer.ts';
import type { TakeOneOptions } from './consumer/take-one.ts';
import { connectDatabase, type DatabaseConnection } from './database/connection.ts';
import { InboxRetention } from './database/inbox-retention.ts';
import { InboxStore } from './database/inbox-store.ts';
import { DatabasePool } from './database/pool.ts';
import { knexTransactions, resolveTransactions, Transactions } from './database/transactions.ts';
import { DeadLetters } from './dead-letters/dead-letters.ts';
import { SettingsError } from './errors.ts';
import type { Logger } from './lifecycle/logger.ts';
import type { Service } from './lifecycle/service.ts';
import { Outbox } from './outbox/outbox.ts';
import { Relay } from './outbox/relay.ts';
import type { MessageRouter } from './router/router.ts';
import { consumeOptions, exchangeTypes, relayOptions, topologySpec } from './settings/parts.ts';
import type { ResolvedSettings } from './settings/resolved.ts';
import { once } from './util/once.ts';

export interface Surroundings {
  readonly logger: Logger;
  readonly messageRouter: MessageRouter;
}

/** Services in their order of start; the last is the one that the others are for. */
export interface Assembled<Main extends Service> {
  readonly main: Main;
  readonly services: readonly Service[];
}

/**
 * The composition root: makes the concrete parts from settings and puts them in their order of start. What several
 * roles of one service share (pool, transactions, outbox, inbox) is made once, when it is first asked for. Connections
 * to the broker are each role's own: one that is stopped takes nothing from the others.
 */
export class Assembly {
  readonly settings: ResolvedSettings;
  readonly #logger: Logger;
  readonly #router: MessageRouter;

  constructor(settings: ResolvedSettings, { logger, messageRouter }: Surroundings) {
    this.settings = settings;
    this.#logger = logger;
    this.#router = messageRouter;
  }

  readonly pool = once(
    () =>
      new DatabasePool({
        url: this.#databaseUrl(),
        max: this.settings.pool.max,
        wait: this.settings.wait,
        connectTimeoutMs: this.settings.connectTimeoutMs,
        applicationName: this.settings.appId,
        logger: this.#logger,
      }),
  );

  /** Those of the user's library when the settings say so: then our pool is not needed for them. */
  readonly transactions = once(() => {
    const setting = this.settings.transactions ?? knexTransactions();
    return typeof setting === 'function'
      ? new Transactions({ open: setting })
      : resolveTransactions(setting, this.pool());
  });

  readonly outbox = once(
    () => new Outbox({ transactions: this.transactions(), appId: this.settings.appId, schema: this.settings.schema }),
  );

  readonly #inboxStore = once(
    () => new InboxStore({ transactions: this.transactions(), schema: this.settings.schema }),
  );

  get usesOwnPool(): boolean {
    return typeof this.settings.transactions !== 'function';
  }

  get hasDatabase(): boolean {
    return this.settings.databaseUrl !== undefined || !this.usesOwnPool;
  }

  consumer(): Assembled<Consumer> {
    const { settings } = this;
    const consuming = this.#connection('consume');
    const publishing = this.#connection('publish');
    const publisher = this.#publisher(publishing);
    const topology = new BrokerTopology({ connection: consuming, declare: settings.declare, logger: this.#logger });
    const spec = topologySpec(settings, this.#router.bindings());
    const ensureTopology = () => topology.ensure(spec);
    const main = new Consumer({
      subscriber: new BrokerSubscriber({ connection: consuming, ensureTopology, logger: this.#logger }),
      publisher,
      topology,
      topologySpec: spec,
      router: this.#router,
      ...(this.hasDatabase ? { inbox: this.#inboxStore(), scheduler: this.outbox() } : {}),
      logger: this.#logger,
      options: consumeOptions(settings),
    });
    return { main, services: [...this.#databaseServices(), publishing, publisher, consuming, main] };
  }

  relay(): Assembled<Relay> {
    const { settings } = this;
    const publishing = this.#connection('relay');
    const publisher = this.#publisher(publishing);
    this.#databaseUrl();
    const main = new Relay({
      connect: ({ name, settings: session }) => this.#connect(name, session),
      wait: settings.wait,
      pipe: publisher,
      schema: settings.schema,
      logger: this.#logger,
      options: relayOptions(settings),
    });
    return { main, services: [publishing, publisher, main] };
  }

  /** @param queue the one to take from; its retry and dead queues are named after it */
  taker(queue: string): Assembled<Service> & { readonly options: TakeOneOptions } {
    const { settings } = this;
    const consuming = this.#connection('take');
    const publishing = this.#connection('publish');
    const publisher = this.#publisher(publishing);
    const spec = topologySpec(settings, []);
    const options: TakeOneOptions = {
      subscriber: new BrokerSubscriber({ connection: consuming, logger: this.#logger }),
      publisher,
      topology: new BrokerTopology({ connection: consuming, declare: settings.declare, logger: this.#logger }),
      topologySpec: {
        ...spec,
        binds: queue === spec.queue.name ? spec.binds : [],
        queue: { ...spec.queue, name: queue },
      },
      ...(this.hasDatabase ? { inbox: this.#inboxStore(), scheduler: this.outbox() } : {}),
      logger: this.#logger,
      options: consumeOptions(settings),
    };
    const pool = this.hasDatabase && this.usesOwnPool ? [this.pool()] : [];
    return { main: consuming, services: [...pool, publishing, publisher, consuming], options };
  }

  deadLetters(): Assembled<Service> & { readonly deadLetters: DeadLetters } {
    const reading = this.#connection('dead letters');
    const publishing = this.#connection('publish');
    const publisher = this.#publisher(publishing);
    const deadLetters = new DeadLetters({
      reader: new BrokerQueueReader(reading),
      publisher,
      parking: this.hasDatabase ? this.#inboxStore() : undefined,
      queue: this.settings.queue.name,
      keepsKeyOrder: this.settings.retry.keyed === 'park',
    });
    const pool = this.hasDatabase && this.usesOwnPool ? [this.pool()] : [];
    return { main: reading, services: [...pool, publishing, publisher, reading], deadLetters };
  }

  /** For one question, outside the pool. */
  async withConnection<T>(name: string, work: (connection: DatabaseConnection) => Promise<T>): Promise<T> {
    const connection = await this.#connect(name, {});
    try {
      return await work(connection);
    } finally {
      await connection.close();
    }
  }

  #connect(name: string, settings: Readonly<Record<string, string>>): Promise<DatabaseConnection> {
    const { appId, connectTimeoutMs } = this.settings;
    return connectDatabase({
      url: this.#databaseUrl(),
      applicationName: `${appId} ${name}`,
      connectTimeoutMs,
      settings,
    });
  }

  #databaseServices(): Service[] {
    if (!this.hasDatabase) return [];
    const retention = new InboxRetention({
      store: this.#inboxStore(),
      retentionMs: this.settings.inbox.retentionMs,
      logger: this.#logger,
    });
    return this.usesOwnPool ? [this.pool(), retention] : [retention];
  }

  #connection(role: string): BrokerConnection {
    const { appId, brokerUrls, wait, heartbeatMs, connectTimeoutMs } = this.settings;
    const logger = this.#logger;
    return new BrokerConnection({
      name: `${appId} ${role}`,
      url: brokerUrls,
      wait,
      heartbeatMs,
      connectTimeoutMs,
      logger,
    });
  }

  #publisher(connection: BrokerConnection): BrokerPublisher {
    const { declare, publish, limits } = this.settings;
    return new BrokerPublisher({
      connection,
      declare,
      exchangeTypes: exchangeTypes(this.settings),
      ...publish,
      maxBodyBytes: limits.bodyBytes,
      logger: this.#logger,
    });
  }

  #databaseUrl(): string {
    const { databaseUrl } = this.settings;
    if (databaseUrl !== undefined) return databaseUrl;
    const expected = "a URL such as 'postgres://user:password@host:5432/database'";
    throw new SettingsError([{ setting: 'databaseUrl', expected, got: 'nothing', from: 'what this command needs' }]);
  }
}
