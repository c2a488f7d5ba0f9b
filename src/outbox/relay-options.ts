import { InvalidArgumentError } from '../errors.ts';

export const UNROUTABLE_POLICIES = ['continue', 'keep'] as const;
export type UnroutablePolicy = (typeof UNROUTABLE_POLICIES)[number];

/** A partition is `hashtext(coalesce(order_key, exchange)) & 63`, written by the enqueue; the lease table has a row for each. */
export const PARTITIONS = 64;

export interface RelayOptions {
  /** How long partitions are kept without renewing, in ms, ≥ 1000: a relay that died is replaced after so long. @default 10_000 */
  readonly leaseMs?: number;
  /** Rows in one read, ≥ 1. @default 500 */
  readonly batchSize?: number;
  /** How often the table is read without being notified, in ms, ≥ 10. @default 1000 */
  readonly pollMs?: number;
  /** Pause after the database failed, in ms, ≥ 10. @default 500 */
  readonly restartMs?: number;
  /** Longest back-off of a row that the broker refuses, in ms, ≥ 1000; the first is 1 s and each doubles. @default 60_000 */
  readonly maxBackoffMs?: number;
  /** What becomes of an event that reaches no queue: `continue` counts it and goes on, `keep` holds the row. @default 'continue' */
  readonly unroutable?: UnroutablePolicy;
  /** Whether LISTEN is tried; polling goes on in any case. @default true */
  readonly listen?: boolean;
  /** How long a stop waits for confirms of what is in flight, in ms, ≥ 0. @default 10_000 */
  readonly drainMs?: number;
}

export type ResolvedRelayOptions = Required<RelayOptions>;

export const DEFAULT_RELAY_OPTIONS: ResolvedRelayOptions = Object.freeze({
  leaseMs: 10_000,
  batchSize: 500,
  pollMs: 1000,
  restartMs: 500,
  maxBackoffMs: 60_000,
  unroutable: 'continue',
  listen: true,
  drainMs: 10_000,
});

const LEAST = { leaseMs: 1000, batchSize: 1, pollMs: 10, restartMs: 10, maxBackoffMs: 1000, drainMs: 0 } as const;

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for a number below its least, or an unknown policy */
export function resolveRelayOptions(options: RelayOptions = {}): ResolvedRelayOptions {
  const resolved = { ...DEFAULT_RELAY_OPTIONS, ...options };
  for (const [name, least] of Object.entries(LEAST)) {
    const value = resolved[name as keyof typeof LEAST];
    if (!Number.isFinite(value) || value < least) {
      throw new InvalidArgumentError(`relay.${name}`, `a number ≥ ${least}`, String(value));
    }
  }
  if (!Number.isInteger(resolved.batchSize)) {
    throw new InvalidArgumentError('relay.batchSize', 'a whole number', String(resolved.batchSize));
  }
  if (!UNROUTABLE_POLICIES.includes(resolved.unroutable)) {
    throw new InvalidArgumentError('relay.unroutable', UNROUTABLE_POLICIES.join(' or '), String(resolved.unroutable));
  }
  return resolved;
}
