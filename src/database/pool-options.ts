import { InvalidArgumentError } from '../errors.ts';
import { type Logger, silentLogger } from '../lifecycle/logger.ts';
import type { Waits } from '../util/waits.ts';

export interface PoolOptions {
  /** `postgres://…`; never logged or thrown unmasked. A function is asked for each connection, for a server that moves. */
  readonly url: string | (() => string);
  /** Most connections at once, ≥ 1. @default 25: the default concurrency + 5 */
  readonly max?: number;
  /** Whether, and for how long, `start` waits for a database that is down, with back-off; then it fails. @default true */
  readonly wait?: Waits;
  /** Milliseconds for one attempt to connect. @default 5_000 */
  readonly connectTimeoutMs?: number;
  /** Waiting longer than this for a free connection is logged, with the handlers that hold them. @default 2_000 */
  readonly busyWarningMs?: number;
  /** Waiting longer than this for a free connection fails with DatabaseBusyError. @default 10_000 */
  readonly busyTimeoutMs?: number;
  /** Whether frequent statements are prepared by name, unless a pooler is found before PostgreSQL. @default true */
  readonly prepare?: boolean;
  /** Milliseconds that `stop` waits for open transactions before it ends their connections. @default 10_000 */
  readonly stopTimeoutMs?: number;
  /**
   * A statement that has waited for so long, in ms, without a byte of its answer is looked into: when PostgreSQL does
   * nothing for it, its connection is given up (half-open TCP). No effect with `prepare` off. @default 30_000
   */
  readonly silenceMs?: number;
  /** Shown in `pg_stat_activity` unless the URL says otherwise. @default 'svc-comm' */
  readonly applicationName?: string;
  /** Awaited by `start` before the first attempt: a server of ours that has to run first. */
  readonly ready?: () => Promise<void>;
  readonly logger?: Logger;
}

export type ResolvedPoolOptions = Readonly<Required<PoolOptions>>;

export const DEFAULT_POOL_OPTIONS = Object.freeze({
  max: 25,
  wait: true,
  connectTimeoutMs: 5_000,
  busyWarningMs: 2_000,
  busyTimeoutMs: 10_000,
  prepare: true,
  stopTimeoutMs: 10_000,
  silenceMs: 30_000,
  applicationName: 'svc-comm',
  ready: async () => undefined,
  logger: silentLogger,
});

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) */
export function resolvePoolOptions(options: PoolOptions): ResolvedPoolOptions {
  const resolved = { ...DEFAULT_POOL_OPTIONS, ...options };
  if (!Number.isInteger(resolved.max) || resolved.max < 1) {
    throw new InvalidArgumentError('pool.max', 'a whole number ≥ 1', String(resolved.max));
  }
  if (typeof resolved.url === 'string' && !/^postgres(ql)?:\/\//i.test(resolved.url)) {
    throw new InvalidArgumentError(
      'databaseUrl',
      "a URL such as 'postgres://user:password@host:5432/database'",
      'something else',
    );
  }
  return Object.freeze(resolved);
}
