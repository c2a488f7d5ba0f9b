import { DEAD_REASONS, type DeadReason } from '../message/handler.ts';

/**
 * What became of the deliveries since the consumer was made. Each counts once:
 * received = handled + failed + duplicates + expired + unhandled + retried + all deadLettered + released + lost + inFlight.
 */
export interface ConsumerStats {
  readonly received: number;
  /** The handler returned. */
  readonly handled: number;
  /** Calls whose handler threw, and that were answered with the error. */
  readonly failed: number;
  /** The inbox had their effect already, or had given them up before. */
  readonly duplicates: number;
  /** Commands and calls past their deadline: not run. */
  readonly expired: number;
  /** No handler takes them, and they were acked (`unhandled: 'ack'`). */
  readonly unhandled: number;
  /** A copy waits in a retry queue or in the future table. */
  readonly retried: number;
  /** A copy is in the dead letters, by reason. */
  readonly deadLettered: Readonly<Record<DeadReason, number>>;
  /** Given back to the queue: on stop, or when infrastructure kept failing. */
  readonly released: number;
  /** Their channel was lost before they were settled: the broker delivers them again. */
  readonly lost: number;
  /** Delivered and not settled yet. */
  readonly inFlight: number;
  /** Answers to calls that reached nobody: the caller has gone. Not a delivery of its own. */
  readonly unanswered: number;
  /** Runs again in place, after a failure of a keyed message or of infrastructure; no delivery of its own. */
  readonly rerunInPlace: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface Counters extends Mutable<Omit<ConsumerStats, 'deadLettered' | 'inFlight'>> {
  readonly deadLettered: Record<DeadReason, number>;
}

export const createCounters = (): Counters => ({
  received: 0,
  handled: 0,
  failed: 0,
  duplicates: 0,
  expired: 0,
  unhandled: 0,
  retried: 0,
  deadLettered: Object.fromEntries(DEAD_REASONS.map((reason) => [reason, 0])) as Record<DeadReason, number>,
  released: 0,
  lost: 0,
  unanswered: 0,
  rerunInPlace: 0,
});

export const snapshot = (counters: Counters, inFlight: number): ConsumerStats => ({
  ...counters,
  deadLettered: { ...counters.deadLettered },
  inFlight,
});
