import {
  type BindSpec,
  deadQueueName,
  type ExchangeSpec,
  type QueueSpec,
  retryQueueName,
  type TopologySpec,
} from '../message/topology.ts';

/** A queue as it is declared; all of ours are durable. */
export interface QueueDeclaration {
  readonly kind: 'queue';
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface ExchangeDeclaration {
  readonly kind: 'exchange';
  readonly name: string;
  /** undefined: made a topic exchange when missing, taken as it is otherwise. */
  readonly type: ExchangeSpec['type'] | undefined;
}

export type Declaration = QueueDeclaration | ExchangeDeclaration;

/** From here on a quorum queue has a delivery limit, 20, unless it says otherwise. */
const DEFAULT_DELIVERY_LIMIT_SINCE = 4;

/**
 * What the spec needs, in the order to declare it: exchanges, then the dead and retry queues, then the work queue,
 * which may get messages as soon as it is there.
 * @param serverVersion e.g. `3.10.8`
 */
export function declarationsOf(spec: TopologySpec, serverVersion: string | undefined): readonly Declaration[] {
  const { queue } = spec;
  const dead: QueueDeclaration = {
    kind: 'queue',
    name: deadQueueName(queue.name),
    arguments: { 'x-queue-type': queue.type, ...unlimited(queue, serverVersion) },
  };
  const retries = [...new Set(spec.retryDelaysMs)].map((delayMs) => retryQueue(queue, delayMs));
  const deadLetters = spec.hasDeadLetters === false ? [] : [dead];
  const work = spec.isQueueForeign ? [] : [workQueue(queue, serverVersion)];
  return [...exchangesOf(spec.exchanges, spec.binds), ...deadLetters, ...retries, ...work];
}

/** No dead-letter exchange: what expires or exceeds a limit must not slip in among the dead letters. */
function workQueue(queue: QueueSpec, serverVersion: string | undefined): QueueDeclaration {
  const limit =
    queue.deliveryLimit === undefined ? unlimited(queue, serverVersion) : { 'x-delivery-limit': queue.deliveryLimit };
  return {
    kind: 'queue',
    name: queue.name,
    arguments: {
      'x-queue-type': queue.type,
      ...(queue.type === 'quorum' ? limit : {}),
      ...(queue.singleActiveConsumer ? { 'x-single-active-consumer': true } : {}),
      ...queue.arguments,
    },
  };
}

/** Below 4.0, -1 would dead-letter at the first redelivery, and there is no limit when the argument is left out. */
function unlimited({ type }: QueueSpec, serverVersion: string | undefined): Readonly<Record<string, unknown>> {
  const major = Number.parseInt(serverVersion ?? '', 10);
  return type === 'quorum' && major >= DEFAULT_DELIVERY_LIMIT_SINCE ? { 'x-delivery-limit': -1 } : {};
}

function retryQueue({ name, type }: QueueSpec, delayMs: number): QueueDeclaration {
  return {
    kind: 'queue',
    name: retryQueueName(name, delayMs),
    arguments: {
      'x-queue-type': type,
      'x-message-ttl': delayMs,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': name,
      // Without the overflow the broker takes the strategy and silently falls back to at-most-once.
      ...(type === 'quorum' ? { 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' } : {}),
    },
  };
}

function exchangesOf(specs: readonly ExchangeSpec[], binds: readonly BindSpec[]): readonly ExchangeDeclaration[] {
  const types = new Map<string, ExchangeSpec['type'] | undefined>(binds.map(({ exchange }) => [exchange, undefined]));
  for (const { name, type } of specs) types.set(name, type);
  return [...types].filter(([name]) => name !== '').map(([name, type]) => ({ kind: 'exchange', name, type }));
}
