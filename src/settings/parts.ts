import type { ConsumeOptions } from '../consumer/options.ts';
import type { BindSpec, ExchangeSpec, ExchangeType, TopologySpec } from '../message/topology.ts';
import type { RelayOptions } from '../outbox/relay-options.ts';
import type { WorkerOptions } from '../task/worker-options.ts';
import type { JsonLimits } from '../wire/json.ts';
import type { ResolvedSettings } from './resolved.ts';

/** What the settings say to each part: the one place where their names meet. */

/** @param derived bindings of the registered consumers, for settings that name none */
export function topologySpec(settings: ResolvedSettings, derived: readonly BindSpec[]): TopologySpec {
  const binds = settings.binds ?? derived;
  const exchanges = new Map<string, ExchangeSpec>(settings.exchanges.map((exchange) => [exchange.name, exchange]));
  for (const { exchange } of binds) {
    if (!exchanges.has(exchange)) exchanges.set(exchange, { name: exchange, type: 'topic' });
  }
  const retryDelaysMs = [...new Set(settings.retry.delaysMs)];
  return { exchanges: [...exchanges.values()], queue: settings.queue, binds, retryDelaysMs };
}

/** The bindings as patterns of routing keys that they bring: exchanges that go by no pattern may bring any. */
export function routedBy({ exchanges, binds }: TopologySpec): readonly BindSpec[] {
  const types = new Map(exchanges.map(({ name, type }) => [name, type]));
  const byPattern: readonly (ExchangeType | undefined)[] = ['topic', 'direct'];
  return binds.map(({ exchange, pattern }) => ({
    exchange,
    pattern: byPattern.includes(types.get(exchange)) ? pattern : '#',
  }));
}

/** The same, with the bindings of each moment: what is registered later is bound by the next who declares. */
export function liveTopologySpec(settings: ResolvedSettings, derived: () => readonly BindSpec[]): TopologySpec {
  const wanted = () => topologySpec(settings, derived());
  return {
    ...wanted(),
    get exchanges() {
      return wanted().exchanges;
    },
    get binds() {
      return wanted().binds;
    },
  };
}

/** A spec that does not change under those who declare by it again and again. */
export interface StartedTopologySpec extends TopologySpec {
  /** Takes the bindings as they are now: at each start. */
  renew(): void;
}

/**
 * The same, with the bindings of the last start: what is registered later was not looked at, and is bound by the next one.
 */
export function startedTopologySpec(
  settings: ResolvedSettings,
  derived: () => readonly BindSpec[],
): StartedTopologySpec {
  let current = topologySpec(settings, derived());
  return {
    ...current,
    get exchanges() {
      return current.exchanges;
    },
    get binds() {
      return current.binds;
    },
    renew() {
      current = topologySpec(settings, derived());
    },
  };
}

export const exchangeTypes = (settings: ResolvedSettings): Record<string, ExchangeType> =>
  Object.fromEntries(settings.exchanges.map(({ name, type }) => [name, type]));

export function consumeOptions(settings: ResolvedSettings): ConsumeOptions {
  const { prefetch, concurrency, retry, unhandled, handlerTimeoutMs, gracePeriodMs, inbox, deadline } = settings;
  return {
    prefetch,
    concurrency,
    retry,
    unhandled,
    handlerTimeoutMs,
    graceMs: gracePeriodMs,
    limits: jsonLimits(settings),
    skewToleranceMs: deadline.skewToleranceMs,
    inboxByDefault: inbox.enabled,
    inboxGroup: inbox.group,
  };
}

/** Of bodies, sent and received. */
export const jsonLimits = ({ limits: { bodyBytes, depth, keys } }: ResolvedSettings): JsonLimits => ({
  bodyBytes,
  depth,
  keys,
});

/** The broker's queue that task workers take from. */
export function workerOptions({ worker, gracePeriodMs }: ResolvedSettings): WorkerOptions {
  return { ...worker, drainMs: gracePeriodMs };
}

/** The queue of task messages: nothing of them is retried or dead-lettered, since the rows decide. */
export function taskTopologySpec(settings: ResolvedSettings): TopologySpec {
  const { type, arguments: args } = settings.queue;
  const queue = { name: taskQueueName(settings), type, singleActiveConsumer: false, arguments: args };
  return { exchanges: [], queue, binds: [], retryDelaysMs: [], hasDeadLetters: false };
}

export const taskQueueName = ({ queue }: ResolvedSettings): string => `${queue.name}.tasks`;

export function relayOptions({ relay, outbox }: ResolvedSettings): RelayOptions {
  return { ...relay, unroutable: outbox.unroutable };
}
