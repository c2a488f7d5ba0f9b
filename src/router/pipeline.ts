import { InvalidConsumerError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Handler, Middleware, Verdict } from '../message/handler.ts';
import type { Inbox } from '../message/inbox.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import {
  type AnsweringLayers,
  type AnsweringParts,
  type NextRunMs,
  type ResolvedConsumerOptions,
  timerMs,
} from './kind.ts';
import { compose } from './middleware/compose.ts';
import { correlation } from './middleware/correlation.ts';
import { deadline, deadlineAgain } from './middleware/deadline.ts';
import { inbox } from './middleware/inbox.ts';
import { observe } from './middleware/observe.ts';
import { type AsOutage, outage } from './middleware/outage.ts';
import { asError, recover } from './middleware/recover.ts';
import { timeout } from './middleware/timeout.ts';
import { describeOrigin, type Route } from './route.ts';
import type { Routes } from './routes.ts';

export interface PipelineOptions {
  readonly logger: Logger;
  /** Where messages are remembered; undefined without a database. */
  readonly inbox?: Inbox | undefined;
  /** For routes that do not say. @default true when there is an inbox */
  readonly inboxByDefault?: boolean | undefined;
  /** What is known of a database that handlers without inbox use. @default nothing */
  readonly asOutage?: AsOutage | undefined;
  /** Most messages that share a transaction, for routes that do not say. @default 1: none do */
  readonly inboxGroup?: number | undefined;
  /** Most handlers that run at once, which says how many shared transactions there are. @default 20 */
  readonly concurrency?: number | undefined;
  /** How long a handler may run, in ms, for routes that do not say. @default 600_000 */
  readonly handlerTimeoutMs?: number | undefined;
  /** The clock that deadlines are held against, in ms since the epoch. @default Date.now */
  readonly now?: (() => number) | undefined;
  /** How long past its deadline a message is still executed, in ms. @default 0 */
  readonly skewToleranceMs?: number | undefined;
  /** How answers to calls leave; needed by routes that answer. */
  readonly answers?: Omit<AnsweringParts, 'now' | 'skewToleranceMs' | 'nextRunMs' | 'logger'> | undefined;
  /** Told of every run. @default nobody */
  readonly telemetry?: Telemetry | undefined;
  /** When a message that is to be tried again is. @default when it asks to be, or at once */
  readonly nextRunMs?: NextRunMs | undefined;
  /** Layers around every handler, inside inbox and time limit, outside of those given by `MessageRouter.use`. */
  readonly middleware?: readonly Middleware[] | undefined;
}

export const DEFAULT_PIPELINE_OPTIONS = Object.freeze({
  inboxGroup: 1,
  concurrency: 20,
  handlerTimeoutMs: 600_000,
  now: () => Date.now(),
  skewToleranceMs: 0,
  nextRunMs: (_incoming, requestedMs) => requestedMs ?? 0,
} satisfies Partial<PipelineOptions>);

/** What is known of a message by its route. */
export type HandledRoute = Pick<Route, 'name' | 'options' | 'hasEventId'>;

/** A route together with its layers. `handle` never throws. */
export interface RoutedHandler {
  readonly route: HandledRoute;
  readonly handle: Handler;
}

export type HandlerLookup = (exchange: string, routingKey: string) => RoutedHandler | undefined;

/**
 * Finds the route of a message and its layers: each route has its own chain of them, built once. The order is that of
 * `Handler` in src/message/handler.ts. Neither the look-up throws nor the route that it gives.
 * @throws InvalidConsumerError when a route asks for the inbox and there is none
 */
export function handlerLookup(routes: Routes, options: PipelineOptions): HandlerLookup {
  const built = new Map<Route, RoutedHandler>(
    routes.list.map((route) => [route, { route, handle: buildChain(route, options) }]),
  );
  const handlerOf = (route: Route): RoutedHandler => {
    let routed = built.get(route);
    if (!routed) {
      routed = lateHandler(route, options);
      built.set(route, routed);
    }
    return routed;
  };
  return (exchange, routingKey) => {
    const route = routes.resolve(exchange, routingKey);
    return route && handlerOf(route);
  };
}

/**
 * Of a route that was registered since the start, which refused nothing of it: its messages fail instead. Its options may
 * be what cannot be read, and whoever settles its messages needs some.
 */
function lateHandler(route: Route, options: PipelineOptions): RoutedHandler {
  try {
    return { route, handle: buildChain(route, options) };
  } catch (thrown) {
    const error = asError(thrown);
    const { name } = route;
    return {
      route: { name, options: DEFAULT_ROUTE_OPTIONS, hasEventId: false },
      handle: async () => ({ kind: 'retry', error }),
    };
  }
}

const DEFAULT_ROUTE_OPTIONS: ResolvedConsumerOptions = Object.freeze({
  inbox: undefined,
  timeoutMs: undefined,
  group: undefined,
});

function buildChain(route: Route, options: PipelineOptions): Handler {
  const { handlerTimeoutMs = DEFAULT_PIPELINE_OPTIONS.handlerTimeoutMs } = options;
  const timeoutMs = timerMs('handlerTimeoutMs', route.options.timeoutMs ?? handlerTimeoutMs, 'ms');
  const { now = DEFAULT_PIPELINE_OPTIONS.now, skewToleranceMs = DEFAULT_PIPELINE_OPTIONS.skewToleranceMs } = options;
  const { telemetry, nextRunMs = DEFAULT_PIPELINE_OPTIONS.nextRunMs } = options;
  const layers: Middleware[] = [
    ...(telemetry ? [observe(telemetry, route.name, nextRunMs)] : []),
    recover(),
    correlation(),
  ];
  if (route.deadlineOf) layers.push(deadline({ deadlineOf: route.deadlineOf, now, skewToleranceMs }));
  const answering = answeringLayers(route, options, { now, skewToleranceMs, nextRunMs });
  if (answering) layers.push(answering.outer);
  const once = inboxLayer(route, options, timeoutMs);
  if (once) layers.push(once);
  else if (options.asOutage) layers.push(outage(options.asOutage));
  if (once && route.deadlineOf) layers.push(deadlineAgain({ now, skewToleranceMs }));
  layers.push(timeout({ timeoutMs, handler: route.name }), ...(options.middleware ?? []));
  if (answering) layers.push(answering.inner);
  return compose(layers, (incoming, context) => route.invoke(incoming, context).then((value) => handled(route, value)));
}

function answeringLayers(
  route: Route,
  { answers, logger }: PipelineOptions,
  times: Pick<AnsweringParts, 'now' | 'skewToleranceMs' | 'nextRunMs'>,
): AnsweringLayers | undefined {
  if (!route.answering) return undefined;
  if (!answers)
    throw new InvalidConsumerError(describeOrigin(route), 'it answers, and nothing is given to answer with');
  return route.answering({ ...answers, ...times, logger });
}

/** Undefined: without. */
function inboxLayer(route: Route, options: PipelineOptions, timeoutMs: number): Middleware | undefined {
  const { logger, asOutage, inboxGroup = DEFAULT_PIPELINE_OPTIONS.inboxGroup } = options;
  const { concurrency = DEFAULT_PIPELINE_OPTIONS.concurrency } = options;
  const store = inboxFor(route, options);
  if (!store) return undefined;
  const size = Math.min(route.options.group ?? inboxGroup, concurrency);
  const groups = { size, atOnce: Math.max(1, Math.floor(concurrency / size)) };
  const without = asOutage && outage(asOutage);
  const shared = size > 1 ? store.grouped(groups) : store;
  const { name: handler, hasEventId } = route;
  return inbox({ inbox: shared, handler, hasEventId, timeoutMs, logger, without });
}

/** @throws InvalidConsumerError when nothing was done yet: of a generator function the body runs when somebody iterates */
function handled(route: Route, value: unknown): Verdict {
  if (/^\[object (Async)?Generator\]$/.test(Object.prototype.toString.call(value))) {
    throw new InvalidConsumerError(describeOrigin(route), 'it is a generator function (function*): take the * away');
  }
  return { kind: 'ack', outcome: 'handled', value };
}

function inboxFor(route: Route, { inbox: store, inboxByDefault = true }: PipelineOptions): Inbox | undefined {
  if (route.options.inbox === true && !store) {
    throw new InvalidConsumerError(
      describeOrigin(route),
      'it asks for the inbox and no database is set: set databaseUrl, or take `inbox: true` away',
    );
  }
  return (route.options.inbox ?? inboxByDefault) ? store : undefined;
}
