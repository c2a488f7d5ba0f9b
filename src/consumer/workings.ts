import { type Clock, systemClock } from '../lifecycle/clock.ts';
import { type Logger, silentLogger } from '../lifecycle/logger.ts';
import type { Inbox } from '../message/inbox.ts';
import { inboxKeyOf } from '../message/inbox-key.ts';
import type { Publisher } from '../message/publisher.ts';
import type { Scheduler } from '../message/schedule.ts';
import type { StartMarks } from '../message/start-marks.ts';
import type { Topology, TopologySpec } from '../message/topology.ts';
import type { MessageRouter } from '../router/router.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import { cutShort } from './cut-short.ts';
import { Forwarder } from './forward.ts';
import type { InFlight } from './in-flight.ts';
import { nextRunMs } from './next-step.ts';
import { type ConsumeOptions, DEFAULT_CONSUMER_OPTIONS } from './options.ts';
import { ParkedKeys } from './parked-keys.ts';
import { Runner } from './runner.ts';
import { Settler } from './settler.ts';
import { type Counters, createCounters } from './stats.ts';
import { Unhandled } from './unhandled.ts';

/** What handling the messages of a queue needs, whether they are subscribed to or taken one by one. */
export interface HandlingOptions {
  /** For copies to retry and dead queues, and for answers to calls. */
  readonly publisher: Publisher;
  /** The outbox, bound to the transaction that the code runs in: for answers to calls that go with the commit. */
  readonly inTransaction?: Publisher | undefined;
  /** AMQP `app_id` of answers. @default '' */
  readonly appId?: string | undefined;
  readonly topology: Topology;
  readonly topologySpec: TopologySpec;
  /**
   * Whether a message is held while the queue for its copy is missing and we cannot make it; else settling it throws.
   * @default true
   */
  readonly awaitsQueues?: boolean | undefined;
  readonly router: Pick<MessageRouter, 'handlers'>;
  /** Without one, effects may happen twice after a crash, and parked keys are known to this process only. */
  readonly inbox?: Inbox | undefined;
  /** What is known of the database, for handlers without inbox that use it. @default nothing */
  readonly asOutage?: ((error: unknown) => Promise<unknown>) | undefined;
  /** For delays longer than the largest retry queue's; without one, that queue is used. */
  readonly scheduler?: Scheduler | undefined;
  /** Without them a message that ends the process comes back for ever. */
  readonly startMarks?: StartMarks | undefined;
  /** Told of every run of a handler. @default nobody */
  readonly telemetry?: Telemetry | undefined;
  /** @default silent */
  readonly logger?: Logger | undefined;
  readonly clock?: Clock | undefined;
  /** @default DEFAULT_CONSUMER_OPTIONS, for what is left out */
  readonly options?: Partial<ConsumeOptions> | undefined;
}

/** The parts that take one message from its delivery to its settlement. */
export interface Workings {
  readonly options: ConsumeOptions;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly runner: Runner;
  readonly settler: Settler;
  /** Undefined: what comes back runs like any other. */
  readonly startMarks: StartMarks | undefined;
}

/** @throws InvalidConsumerError when a route asks for the inbox and there is none */
export function createWorkings(given: HandlingOptions): Workings {
  const { publisher, topology, topologySpec, awaitsQueues, router, inbox, scheduler } = given;
  const { logger = silentLogger, clock = systemClock, appId = '', inTransaction } = given;
  const options = { ...DEFAULT_CONSUMER_OPTIONS, ...given.options };
  const { handlerTimeoutMs, inboxByDefault, inboxGroup, concurrency, retry } = options;
  const counters = createCounters();
  const inboxOf = ({ route }: InFlight) => ((route?.options.inbox ?? inboxByDefault) ? inbox : undefined);
  const parked = new ParkedKeys((key) => {
    logger.error(
      { key },
      'too many keys are parked: this one is forgotten, its messages are handled again out of order',
    );
  });
  const handlers = router.handlers({
    logger,
    inbox,
    asOutage: given.asOutage,
    inboxByDefault,
    inboxGroup,
    concurrency,
    handlerTimeoutMs,
    now: () => clock.now(),
    skewToleranceMs: options.skewToleranceMs,
    answers: {
      publisher,
      inTransaction,
      appId,
      limits: options.limits,
      onUnanswered: () => {
        counters.unanswered += 1;
      },
    },
    telemetry: given.telemetry,
    nextRunMs: (incoming, requestedMs) =>
      nextRunMs(incoming, requestedMs, { retry, nowMs: clock.monotonicMs(), isScheduled: scheduler !== undefined }),
    middleware: [cutShort()],
  });
  const forwarder = new Forwarder({ publisher, topology, topologySpec, awaitsQueues, logger });
  const runner = new Runner({
    handlers,
    unhandled: new Unhandled(options.unhandled, logger),
    parked,
    asksInbox: (message) =>
      message.route !== undefined &&
      inboxOf(message) !== undefined &&
      inboxKeyOf(message, message.route.hasEventId) !== undefined,
    logger,
  });
  const settler = new Settler({ forwarder, inboxOf, scheduler, parked, counters, retry, clock, logger });
  const startMarks = retry.crashes > 0 ? given.startMarks : undefined;
  return { options, logger, clock, counters, runner, settler, startMarks };
}
