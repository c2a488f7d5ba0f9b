export const EXCHANGE_TYPES = ['topic', 'fanout', 'direct', 'headers'] as const;
export type ExchangeType = (typeof EXCHANGE_TYPES)[number];

/** Those that a RabbitMQ has from the start; nobody can declare another of these names. */
export const BUILT_IN_EXCHANGES: ReadonlyMap<string, ExchangeType> = new Map([
  ['', 'direct'],
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
  ['amq.topic', 'topic'],
  ['amq.rabbitmq.trace', 'topic'],
]);

export interface ExchangeSpec {
  readonly name: string;
  readonly type: ExchangeType;
}

export interface BindSpec {
  readonly exchange: string;
  readonly pattern: string;
}

export const QUEUE_TYPES = ['quorum', 'classic'] as const;
export type QueueType = (typeof QUEUE_TYPES)[number];

export interface QueueSpec {
  readonly name: string;
  readonly type: QueueType;
  readonly singleActiveConsumer: boolean;
  /** `x-delivery-limit`; left to the broker's version when undefined (DESIGN: none below 4.0, -1 from 4.0). */
  readonly deliveryLimit?: number | undefined;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** Everything that a consumer needs on the broker. */
export interface TopologySpec {
  readonly exchanges: readonly ExchangeSpec[];
  readonly queue: QueueSpec;
  readonly binds: readonly BindSpec[];
  /** One retry queue for each distinct delay, in ms. */
  readonly retryDelaysMs: readonly number[];
  /** Whether there is a dead-letter queue beside it. @default true */
  readonly hasDeadLetters?: boolean;
  /** The queue is somebody else's and is taken as it is: only those beside it are declared. @default false */
  readonly isQueueForeign?: boolean;
}

export const DECLARE_MODES = ['create', 'verify', 'none'] as const;
export type DeclareMode = (typeof DECLARE_MODES)[number];

export const retryQueueName = (queue: string, delayMs: number): string => `${queue}.retry.${delayMs}`;
export const deadQueueName = (queue: string): string => `${queue}.dead`;

/** Makes the broker's queues and exchanges as the spec says, or verifies them, or trusts them, by the mode it was built with. */
export interface Topology {
  /**
   * @throws TopologyMismatchError (SVC_COMM_TOPOLOGY_MISMATCH) with every difference found; nothing was changed by it
   */
  ensure(spec: TopologySpec): Promise<void>;
}
