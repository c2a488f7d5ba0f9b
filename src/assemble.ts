import { Assembly } from './assembly/assembly.ts';
import { assembleConsumer } from './assembly/consumer.ts';
import type { EmbeddedServers, Endpoints } from './assembly/embedded.ts';
import { assembleMonitor, type MonitorAddress } from './assembly/monitor.ts';
import { assembleRelay } from './assembly/relay.ts';
import { appReport, consumerReport, publisherReport, serverReport, workerReport } from './assembly/reports.ts';
import {
  type ConsumerService,
  type MonitorService,
  type RelayService,
  roleService,
  type WorkerService,
} from './assembly/role-service.ts';
import { Roles } from './assembly/roles.ts';
import { assembleWatch } from './assembly/watch.ts';
import { assembleWorker, type WorkerProject } from './assembly/worker.ts';
import type { CallStats } from './call/pending-calls.ts';
import type { Consumer } from './consumer/consumer.ts';
import { type TakeHandler, takeOne } from './consumer/take-one.ts';
import {
  byCallContract,
  byCommandContract,
  byEventContract,
  bySendCallContract,
  type Call,
  type PublishAggregateEvent,
  type SendCall,
  type SendCommand,
} from './contract/typed.ts';
import { pendingMigrations } from './database/migrate.ts';
import type { KnexTransaction } from './database/transactions.ts';
import type { DeadLetters } from './dead-letters/dead-letters.ts';
import type { ServicesOverview } from './discovery/overview.ts';
import { examine } from './doctor/examine.ts';
import type { Finding } from './doctor/problems.ts';
import { InvalidArgumentError } from './errors.ts';
import type { Clock } from './lifecycle/clock.ts';
import { createLogger, type Logger } from './lifecycle/logger.ts';
import type { Service } from './lifecycle/service.ts';
import { showingErrors } from './lifecycle/shown-errors.ts';
import type { PublishOptions } from './message/publisher.ts';
import type { WatchOptions } from './message/watched.ts';
import { type Backlog, readBacklog } from './outbox/backlog.ts';
import { eventMessage } from './outbox/event-message.ts';
import { type AggregateEvent, assertNotFuture, destinationOf } from './outbox/event-row.ts';
import { cancelFutureEvents, type FutureEvents, type FutureSelection, futureEvents } from './outbox/future-events.ts';
import type { FutureAggregateEvent, FutureEventFilter, PublishedEvent } from './outbox/outbox.ts';
import type { Relay } from './outbox/relay.ts';
import type { TransactionOption } from './outbox/transaction-choice.ts';
import { coreServicesOf } from './process/core/services.ts';
import type { Processes } from './process/processes.ts';
import type { ProcessRegistry } from './process/registry.ts';
import type { RestClient } from './rest-api/client.ts';
import { MessageRouter } from './router/router.ts';
import type { Settings } from './settings/define.ts';
import { jsonLimits } from './settings/parts.ts';
import { isResolvedSettings, resolveSettings } from './settings/resolve.ts';
import type { ResolvedSettings } from './settings/resolved.ts';
import type { TaskRegistry } from './task/registry.ts';
import type { Tasks } from './task/tasks.ts';
import type { Worker } from './task/worker.ts';
import type { Monitor } from './telemetry/monitor.ts';
import { assertKnownNames, assertObject, assertSignal, kindOf } from './util/assert-object.ts';
import { assertName } from './util/topic-pattern.ts';

export interface ServiceParts {
  /**
   * What our lines go to, and those of `context.logger`: pino, or what takes fields and text in that order as it does.
   * @default JSON lines on standard error, at the level of the settings
   */
  readonly logger?: Logger;
  /** @default a router of its own */
  readonly messageRouter?: MessageRouter;
  /** @default `taskRegistry`, the process's own */
  readonly taskRegistry?: TaskRegistry;
  /** @default `processRegistry`, the process's own */
  readonly processRegistry?: ProcessRegistry;
  /**
   * Whether this process may serve the project's embedded broker and database to other processes; else it waits for one
   * that does. No effect with servers of one's own. @default true
   */
  readonly canHost?: boolean;
  /** What deadlines of commands and calls are held against. @default the database's time, without one this machine's */
  readonly clock?: Clock;
  /** Servers in place of those that `embedded:` URLs start: for test harnesses such as `svc-comm/testing`. */
  readonly embeddedServers?: EmbeddedServers;
}

/**
 * A service built from settings. The functions of the package's front door are the same methods, of a default one.
 * Its connections are made when they are first needed; `close` gives them back.
 */
export class SvcCommService {
  readonly settings: ResolvedSettings;
  readonly messageRouter: MessageRouter;
  readonly processRegistry: ProcessRegistry;
  readonly #assembly: Assembly;
  readonly #roles: Roles;

  constructor(settings: ResolvedSettings, parts: ServiceParts = {}) {
    const logger = parts.logger
      ? showingErrors(parts.logger)
      : createLogger(settings.logLevel, { appId: settings.appId });
    this.settings = settings;
    this.messageRouter = parts.messageRouter ?? new MessageRouter();
    this.#assembly = new Assembly(settings, { ...parts, logger, messageRouter: this.messageRouter });
    this.processRegistry = this.#assembly.processRegistry;
    this.#roles = new Roles(this.#assembly);
  }

  /**
   * Runs `work` in a transaction of the service's database, ambient for everything that it awaits: events published in
   * it are written by one statement just before COMMIT. Inside another one it is a savepoint of it.
   * @param work gets the handle: a knex transaction of our own pool, or what the library of the setting `transactions`
   *   gives (then say its type)
   * @param nothing options, which there are none of, would have no effect: another level of isolation is set by the first
   *   statement, `SET TRANSACTION ISOLATION LEVEL SERIALIZABLE`
   * @returns what `work` resolved to, after the commit
   * @throws what `work` throws, after the rollback; DatabaseUnavailableError, DatabaseBusyError
   */
  async transaction<T, Handle = KnexTransaction>(
    work: (transaction: Handle) => Promise<T>,
    ...nothing: []
  ): Promise<T> {
    const [options]: readonly unknown[] = nothing;
    // An index is none: `works.map(transaction)`.
    if (typeof options === 'object' && options !== null) {
      const expected = 'nothing (for another level of isolation, SET TRANSACTION as the first statement of the work)';
      throw new InvalidArgumentError('the second argument of transaction()', expected, kindOf(options));
    }
    if (typeof work !== 'function') {
      throw new InvalidArgumentError('work', 'a function that does the work of the transaction', kindOf(work));
    }
    await this.#database();
    return this.#assembly.transactions().run((handle) => work(handle as Handle));
  }

  /** See `Outbox.publishAggregateEvent`. */
  readonly publishAggregateEvent: PublishAggregateEvent = byEventContract(async (event, options) => {
    return this.#assembly.outbox().publishAggregateEvent(event, options);
  });

  /** See `Outbox.publishAggregateEvents`. */
  async publishAggregateEvents(
    events: readonly AggregateEvent[],
    options?: TransactionOption,
  ): Promise<PublishedEvent[]> {
    return this.#assembly.outbox().publishAggregateEvents(events, options);
  }

  /** See `Outbox.publishFutureAggregateEvent`. */
  async publishFutureAggregateEvent(event: FutureAggregateEvent, options?: TransactionOption): Promise<PublishedEvent> {
    return this.#assembly.outbox().publishFutureAggregateEvent(event, options);
  }

  /** See `Outbox.cancelFutureAggregateEvent`. */
  async cancelFutureAggregateEvent(filter: FutureEventFilter, options?: TransactionOption): Promise<number> {
    return this.#assembly.outbox().cancelFutureAggregateEvent(filter, options);
  }

  /** See `CommandSender.send`. */
  readonly sendCommand: SendCommand = byCommandContract(async (service, args, options) => {
    return this.#roles.commands().commands.send(service, args, options);
  });

  /**
   * Publishes an event at once, confirmed, outside of every transaction: what it tells may be rolled back all the same.
   * For tools and repairs; services use `publishAggregateEvent`.
   * @throws UnroutableError when no queue is bound for it, BrokerUnavailableError, and what `publishAggregateEvent` throws
   */
  async publishEventNow(event: AggregateEvent, options: PublishOptions = {}): Promise<PublishedEvent> {
    assertObject('options', options);
    assertSignal(options.signal);
    assertNotFuture(event);
    return this.#assembly.telemetry.sending('send', destinationOf(event), async (tell) => {
      const { eventId, message } = eventMessage(event, this.settings.appId, Date.now(), jsonLimits(this.settings));
      tell(eventId);
      await this.#roles.commands().publisher.publish(message, options);
      return { eventId };
    });
  }

  /** What passes an exchange, from its start on; consumers miss nothing by it. What `svc-comm watch` runs. */
  watch(options: WatchOptions): Service {
    return this.#roles.add(assembleWatch(this.#assembly, options), `watch of ${options.exchange}`);
  }

  /** See `Caller.call`. */
  readonly call: Call = byCallContract((service, method, data, options) =>
    this.#roles.calls().caller.call(service, method, data, options),
  );

  /** See `CallSender.send`. */
  readonly sendCall: SendCall = bySendCallContract(async (service, method, data, options) => {
    return this.#roles.callSender().send(service, method, data, options);
  });

  /** How the calls of `call` ended. */
  get callStats(): CallStats {
    return this.#roles.calls().caller.stats;
  }

  /**
   * Declares on the broker what a consumer does at its start (exchanges, queue, bindings, retry and dead queues), as the
   * setting `declare` says: for a service that publishes, or takes one message at a time, before any consumer ran.
   * @throws TopologyMismatchError (SVC_COMM_TOPOLOGY_MISMATCH), BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE)
   */
  async declare(): Promise<void> {
    await this.#roles.declare();
  }

  /**
   * Takes one message from a queue by `basic.get`, with the inbox, retries and dead letters of a consumer. The service's
   * own queue is declared before the first.
   * @returns what the handler returned; undefined when the queue is empty
   * @throws what the handler threw; its message waits in a retry queue or in the dead letters then
   * @throws TopologyMismatchError (SVC_COMM_TOPOLOGY_MISMATCH), UnroutableError (SVC_COMM_UNROUTABLE) when those are
   *   missing and cannot be made; the message is back in its queue then
   */
  async takeOne(queue: string, handler: TakeHandler): Promise<unknown> {
    if (typeof handler !== 'function') throw new InvalidArgumentError('handler', 'a function', kindOf(handler));
    assertName('queue', queue);
    if (queue === '') throw new InvalidArgumentError('queue', 'the name of a queue', 'an empty text');
    return takeOne(handler, await this.#roles.taking(queue));
  }

  /** The dead letters of the service's queue. What `svc-comm dlq` runs. */
  deadLetters(): Promise<DeadLetters> {
    return this.#roles.deadLetters();
  }

  /** Submits tasks and tells what becomes of them. */
  tasks(): Promise<Tasks> {
    return this.#roles.tasks();
  }

  /** Creates instances of processes and tells what becomes of them. */
  processes(): Promise<Processes> {
    return this.#roles.processes(async () => coreServicesOf(this));
  }

  /**
   * The client of the API that the setting `restApi` describes; one for all who ask.
   * @throws SettingsError (SVC_COMM_SETTINGS) when none is set
   */
  restClient(): Promise<RestClient> {
    return this.#roles.restClient();
  }

  /** What `svc-comm runconsumer` runs: start it, and stop it to drain. */
  consumer(): ConsumerService {
    const assembled = assembleConsumer(this.#assembly);
    const { main } = assembled;
    const role = this.#roles.add(assembled, main.name, consumerReport(this.#assembly, assembled));
    return roleService<Consumer, ConsumerService>(role, main, ['isReady', 'stats']);
  }

  /** What `svc-comm runpublisher` runs: start it, and stop it to drain. */
  relay(): RelayService {
    const assembled = assembleRelay(this.#assembly);
    const role = this.#roles.add(assembled, 'publisher', publisherReport());
    const relay = roleService<Relay, RelayService>(role, assembled.main, ['stats']);
    return Object.defineProperty(relay, 'isReady', { enumerable: true, get: assembled.isReady });
  }

  /** What `svc-comm runworker` runs: start it, and stop it to drain. The tasks must be in the registry too. */
  worker(project: WorkerProject): WorkerService {
    const assembled = assembleWorker(this.#assembly, project);
    const { main } = assembled;
    const role = this.#roles.add(assembled, main.name, workerReport(this.#assembly, main));
    return roleService<Worker, WorkerService>(role, main, ['isReady', 'stats']);
  }

  /**
   * Tells other services of this process while it runs, for one that has none of the roles above: it publishes, sends,
   * calls, or serves HTTP. `start` waits for no broker.
   * @param role what it is told of as. @default 'app'
   */
  announcement(role: 'app' | 'server' = 'app'): Service {
    const report = role === 'server' ? serverReport(this.#assembly) : appReport(this.#assembly);
    const told = this.#roles.discovery().report(report);
    return this.#roles.add({ main: told, services: [told] }, told.name);
  }

  /**
   * Which services are there, who listens to what, and which events, commands and calls nobody takes. What
   * `svc-comm services` prints. The first time it asks all and waits for their answers, half a second or so; from then
   * on it listens, and answers at once.
   * @throws DiscoveryUnavailableError (SVC_COMM_DISCOVERY_UNAVAILABLE) when it is off or the broker does not permit it,
   * BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE)
   */
  services(): Promise<ServicesOverview> {
    return this.#roles.discovery().overview();
  }

  /**
   * Serves `GET /metrics` to Prometheus, `GET /health` while the process answers, and `GET /health/ready` when every role
   * that was started does its work. What commands start when `monitor.port` is set. Start it before the roles.
   * @throws from `start`: ListenError (SVC_COMM_LISTEN)
   */
  monitor(address: MonitorAddress = {}): MonitorService {
    assertObject('address', address);
    const assembled = assembleMonitor(this.#assembly, address);
    const role = this.#roles.add(assembled, 'monitor');
    return roleService<Monitor, MonitorService>(role, assembled.main, ['url']);
  }

  /**
   * Has readiness (`GET /health/ready` and `svc_comm.ready`) ask a part of the process's own as well, such as an
   * `HttpServer`: from its start until it has stopped, by its name. `svc-comm serve` does so with its server.
   * @param isReady whether it does its work; asked while it is running. @default it does
   */
  addToReadiness(part: Service, isReady: () => boolean = () => true): void {
    this.#assembly.readiness.add(part, isReady);
  }

  /**
   * The service's metrics as Prometheus reads them (text format 0.0.4), for a route of the project's own. Counters count
   * from the start of each role; durations are kept from the first call on.
   */
  prometheusMetrics(): Promise<string> {
    return this.#assembly.meters.prometheus();
  }

  /**
   * Creates or updates our tables. A table that a transaction has locked is waited for in short turns, as long as the
   * setting `wait` says: what else uses it is held up for two seconds at a time.
   * @returns the files that ran
   * @throws MigrationRightsError, MigrationBlockedError, DatabaseUnavailableError
   */
  async migrate(): Promise<string[]> {
    return this.#assembly.migrate();
  }

  /** Files that `migrate` would run. */
  async pendingMigrations(): Promise<string[]> {
    const { schema } = this.settings;
    return this.#assembly.withConnection('migrations', (connection) => pendingMigrations(connection, { schema }));
  }

  /**
   * What `svc-comm doctor` runs: looks at settings, servers, queues and tables, and changes nothing. A server that is
   * down is a finding. Without registered consumers the queue is not looked at.
   */
  examine(): Promise<Finding[]> {
    return examine(this.settings, { logger: this.#assembly.logger, messageRouter: this.messageRouter });
  }

  /** What waits in the outbox, and for how long. */
  async backlog(): Promise<Backlog> {
    return this.#assembly.withConnection('backlog', (connection) => readBacklog(connection, this.settings.schema));
  }

  /** Future events that wait, those that are due next first. @param limit most that are returned, 0 to 10,000 */
  async futureEvents(selection: FutureSelection = {}, limit = 100): Promise<FutureEvents> {
    const { schema } = this.settings;
    return this.#assembly.withConnection('future', (connection) => futureEvents(connection, schema, selection, limit));
  }

  /**
   * Cancels future events by whatever is known of them; at once, also inside a transaction, which has no part in it.
   * @returns how many; what was published meanwhile is not among them
   */
  async cancelFutureEvents(selection: FutureSelection): Promise<number> {
    const { schema } = this.settings;
    return this.#assembly.withConnection('future', (connection) => cancelFutureEvents(connection, schema, selection));
  }

  /**
   * Where broker and database answer now, for other clients: those of the settings, or the embedded ones, which it
   * starts. With credentials: not for logs.
   */
  endpoints(): Promise<Endpoints> {
    return this.#assembly.embedded.endpoints();
  }

  /** Stops what was started and closes every connection. */
  async close(): Promise<void> {
    await this.#roles.stop();
    await this.#assembly.stop();
  }

  async #database(): Promise<void> {
    if (this.#assembly.usesOwnPool) await this.#assembly.pool().start();
  }
}

/**
 * A service of its own, for those who do not want the default one: several in a process, settings made in code.
 * @throws SettingsError (SVC_COMM_SETTINGS), InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for a part that there is none of
 * @example
 * const service = createService({ appId: 'orders', brokerUrl, databaseUrl });
 * await service.consumer().start();
 */
export function createService(settings: Settings | ResolvedSettings, parts: ServiceParts = {}): SvcCommService {
  // A router under another name would be overlooked, and each message acked as one that nobody takes.
  assertKnownNames('parts', parts, Object.keys(PARTS));
  return new SvcCommService(isResolvedSettings(settings) ? settings : resolveSettings(settings), parts);
}

const PARTS: Readonly<Record<keyof ServiceParts, true>> = {
  logger: true,
  messageRouter: true,
  taskRegistry: true,
  processRegistry: true,
  canHost: true,
  clock: true,
  embeddedServers: true,
};
