import { createService, type SvcCommService } from '../assemble.ts';
import { messageRouter as defaultRouter, leaveDefault, useAsDefault } from '../default-service.ts';
import { EmbeddedBroker } from '../embedded/broker/embedded-broker.ts';
import { InvalidArgumentError } from '../errors.ts';
import { group } from '../lifecycle/group.ts';
import { type Logger, silentLogger } from '../lifecycle/logger.ts';
import type { Service } from '../lifecycle/service.ts';
import { deadQueueName, retryQueueName } from '../message/topology.ts';
import type { MessageRouter } from '../router/router.ts';
import type { Settings } from '../settings/define.ts';
import { assertObject, kindOf } from '../util/assert-object.ts';
import { type Duration, keptDurationMs } from '../util/duration.ts';
import { dueRows } from './due-rows.ts';
import { attachProbe, type HandledMessage, HandlerProbe } from './handler-probe.ts';
import { type DeadMessage, deadMessage, type PublishedMessage, publishedMessage } from './seen-message.ts';
import { counted, type Motion, settled } from './settling.ts';
import { TestClock } from './test-clock.ts';
import { TestDatabase } from './test-database.ts';

export interface TestServiceOptions {
  /**
   * As in `svc-comm.config.ts`; broker and database are the harness's own, what is on the broker is declared
   * whatever `declare` says, `discovery` is off, and `relay.poll` short. @default `{ appId: 'test' }`
   */
  readonly settings?: Omit<Settings, 'brokerUrl' | 'databaseUrl'>;
  /** Whose consumers run. @default the router of the package: what the imported files of the project have registered */
  readonly messageRouter?: MessageRouter;
  /** @default none */
  readonly logger?: Logger;
}

export interface SettleOptions {
  /** Milliseconds after which it is given up. @default 10_000 */
  readonly timeoutMs?: number;
}

/**
 * A whole service for a test: embedded broker and database in memory, the consumer and the relay running, and a clock
 * that can be moved. The functions of the package (`publishAggregateEvent`, `transaction` …) work on it until `stop`.
 */
export class TestService {
  readonly service: SvcCommService;
  /** Every message that went to an exchange, in its order, commands and calls too; copies between queues are left out. */
  readonly published: readonly PublishedMessage[];
  /** Every message that was given up, in its order. */
  readonly deadLetters: readonly DeadMessage[];
  readonly #probe: HandlerProbe;
  readonly #harness: Harness;

  /** Made by `testService`. */
  constructor(harness: Harness) {
    this.#harness = harness;
    this.service = harness.service;
    this.published = harness.published;
    this.deadLetters = harness.deadLetters;
    this.#probe = harness.probe;
  }

  /** Every run of a handler that returned, in its order. */
  get handled(): readonly HandledMessage[] {
    return this.#probe.handled;
  }

  /** The database, for users and tools of one's own: a `postgres://` URL. */
  get databaseUrl(): string {
    return this.#harness.database.url;
  }

  /** The broker, for other AMQP clients: an `amqp://` URL. */
  get brokerUrl(): string {
    return this.#harness.broker.url;
  }

  /**
   * Resolves when all that was committed is relayed and all that was published is handled, and so is what that caused.
   * Retries, future events and rows that back off, which wait for a time, are left waiting: see `advance`.
   * @throws NotSettledError (SVC_COMM_NOT_SETTLED) saying what still moves, InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
   */
  async settled({ timeoutMs = 10_000 }: SettleOptions = {}): Promise<void> {
    if (!(typeof timeoutMs === 'number' && timeoutMs >= 0)) {
      throw new InvalidArgumentError('timeoutMs', 'a number of milliseconds, 0 or more', String(timeoutMs));
    }
    await settled(
      () => this.#harness.look(),
      () => this.#harness.steps(),
      timeoutMs,
    );
  }

  /**
   * Moves the time of broker, database and deadlines forward, then waits until all is settled. What becomes due becomes due
   * in its order only if it is reached in several steps. Waits in this process (retries in place, handler time-outs) go on
   * by the real time.
   * @param by such as `'1h'`, or milliseconds; at most a hundred years
   * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT), NotSettledError (SVC_COMM_NOT_SETTLED)
   */
  async advance(by: Duration, options: SettleOptions = {}): Promise<void> {
    const byMs = keptDurationMs(by, 'by');
    await this.settled(options);
    await this.#harness.move(byMs);
    await this.settled(options);
  }

  /**
   * Makes the next runs of a handler throw before it is called, inside its transaction.
   * @param handler its name as `svc-comm explain` prints it: `'OrderConsumers.onOrder'`
   * @param times runs, `Infinity` for all, @default 1
   * @param error what they throw
   * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) when there is no such handler, or `times` is no number of runs
   */
  failNext(handler: string, times = 1, error?: Error): void {
    this.#probe.failNext(handler, times, error);
  }

  /** Ends all of it, waiting for handlers that run. */
  stop(): Promise<void> {
    return this.#harness.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

/**
 * Starts a service for a test.
 * @throws SettingsError (SVC_COMM_SETTINGS); EmbeddedDatabaseMissingError when PGlite is not installed
 * @example
 * const t = await testService({ settings: { appId: 'orders' } });
 * await transaction(() => publishAggregateEvent({ aggregate: 'order', eventType: 'create.base', payload: { id: 7 } }));
 * await t.settled();
 * expect(t.handled).toHaveLength(1);
 * await t.stop();
 */
export async function testService(options: TestServiceOptions = {}): Promise<TestService> {
  assertObject('options', options);
  const { messageRouter } = options;
  if (messageRouter !== undefined && typeof messageRouter?.use !== 'function') {
    throw new InvalidArgumentError('messageRouter', 'a MessageRouter', kindOf(messageRouter));
  }
  const harness = new Harness(options);
  await harness.start();
  return new TestService(harness);
}

/** Future events become due when the clock is moved, of which nobody notifies the relay. */
const RELAY_POLL = '50ms';

/** Broker, database, consumer and relay of one test, and what is seen of them. */
class Harness {
  readonly published: PublishedMessage[] = [];
  readonly deadLetters: DeadMessage[] = [];
  readonly probe: HandlerProbe;
  readonly broker: EmbeddedBroker;
  readonly database: TestDatabase;
  readonly service: SvcCommService;
  readonly #clock = new TestClock();
  readonly #running: Service;
  readonly #consumer: ReturnType<SvcCommService['consumer']>;
  readonly #relay: ReturnType<SvcCommService['relay']>;
  #routed = 0;
  #detach = () => {};

  constructor({ settings = {}, messageRouter = defaultRouter, logger = silentLogger }: TestServiceOptions) {
    this.broker = new EmbeddedBroker({
      clock: this.#clock,
      logger,
      onRouted: (message) => {
        this.#routed += 1;
        if (message.exchange !== '') this.published.push(publishedMessage(message));
        else if (message.routingKey === this.#deadQueue) this.deadLetters.push(deadMessage(message));
      },
    });
    this.database = new TestDatabase(logger);
    this.service = createService(
      {
        appId: 'test',
        ...settings,
        brokerUrl: 'embedded:memory',
        databaseUrl: 'embedded:memory',
        // Nobody else has declared anything there.
        declare: 'create',
        relay: { ...settings.relay, poll: RELAY_POLL },
        // It has no others, and what it says of itself is nothing that a test has published.
        discovery: { enabled: false },
      },
      {
        logger,
        messageRouter,
        clock: this.#clock,
        embeddedServers: { broker: this.broker, database: this.database },
      },
    );
    this.probe = new HandlerProbe(messageRouter);
    this.#detach = attachProbe(messageRouter, this.probe);
    this.#consumer = this.service.consumer();
    this.#relay = this.service.relay();
    this.#running = group('test service', [this.#consumer, this.#relay]);
  }

  async start(): Promise<void> {
    try {
      await this.#running.start();
      useAsDefault(this.service);
    } catch (error) {
      await this.stop().catch(() => undefined);
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#detach();
    leaveDefault(this.service);
    await this.#running.stop();
    // Ends broker and database as well.
    await this.service.close();
  }

  get #deadQueue(): string {
    return deadQueueName(this.service.settings.queue.name);
  }

  async move(ms: number): Promise<void> {
    this.#clock.move(ms);
    await this.database.move(ms);
    this.broker.clockMoved();
  }

  /** Grows whenever anything goes from one place to the next. */
  steps(): number {
    return this.#routed + this.#consumer.stats.received + this.#relay.stats.deleted + this.#relay.stats.promoted;
  }

  async look(): Promise<Motion> {
    // Asked first: a handler at work may have the database to itself, and rows could be counted only when it returns.
    const moving = this.#moving();
    return moving.length > 0 ? { pending: moving } : dueRows(this.database, this.service.settings.schema);
  }

  #moving(): string[] {
    const { queue, retry } = this.service.settings;
    const resting = new Set([deadQueueName(queue.name), ...retry.delaysMs.map((ms) => retryQueueName(queue.name, ms))]);
    const queues = this.broker
      .queues()
      // A queue that nobody consumes is somebody's to look into.
      .filter(({ name, consumers, unacked }) => !resting.has(name) && consumers + unacked > 0);
    return counted([
      ...queues.map(({ name, ready, unacked }) => [ready + unacked, `messages in queue ${name}`] as const),
      [this.#consumer.stats.inFlight, 'messages with the consumer'],
    ]);
  }
}
