import type { TransactionsSetting } from '../database/transactions.ts';
import type { LogLevel } from '../lifecycle/logger.ts';
import type { BindSpec, DeclareMode, ExchangeSpec, QueueSpec } from '../message/topology.ts';
import type { Waits } from '../util/waits.ts';
import type { HttpSettings, RestApiSettings } from './define.ts';

/** Settings complete and checked: every default is in, every duration is in milliseconds. Made by `resolveSettings`. */
export interface ResolvedSettings {
  /** The project's folder: globs are relative to it. */
  readonly root: string;
  readonly appId: string;
  /** At least one. */
  readonly brokerUrls: readonly string[];
  readonly databaseUrl: string | undefined;
  readonly queue: QueueSpec;
  readonly exchanges: readonly ExchangeSpec[];
  /** undefined: derived from the registered consumers. */
  readonly binds: readonly BindSpec[] | undefined;
  readonly declare: DeclareMode;
  /** undefined: `dist/**` or `src/**`, see `findConsumers`. */
  readonly consumers: readonly string[] | undefined;
  /** As `consumers`. */
  readonly tasks: readonly string[] | undefined;
  readonly contracts: readonly string[] | undefined;
  readonly tests: readonly string[];
  readonly processes: readonly string[];
  readonly prefetch: number;
  readonly concurrency: number;
  readonly retry: {
    readonly attempts: number;
    /** At most attempts - 1; when there are fewer, the last repeats. Empty only for a single attempt. */
    readonly delaysMs: readonly number[];
    readonly inPlaceMs: number;
    readonly keyed: 'park' | 'skip';
    /** 0 or ≥ 2. */
    readonly crashes: number;
  };
  readonly transactions: TransactionsSetting | undefined;
  readonly unhandled: 'ack' | 'dead-letter';
  readonly handlerTimeoutMs: number;
  readonly gracePeriodMs: number;
  readonly schema: string;
  readonly pool: { readonly max: number };
  readonly relay: {
    readonly leaseMs: number;
    readonly batchSize: number;
    readonly pollMs: number;
    readonly listen: boolean;
  };
  readonly outbox: { readonly unroutable: 'continue' | 'keep' };
  readonly inbox: { readonly enabled: boolean; readonly retentionMs: number; readonly group: number };
  readonly publish: {
    readonly timeoutMs: number;
    readonly maxInFlight: number;
    readonly maxInFlightBytes: number;
  };
  readonly limits: {
    readonly bodyBytes: number;
    readonly depth: number;
    readonly keys: number;
  };
  readonly worker: {
    readonly concurrency: number;
    readonly spare: number;
    readonly reuse: number;
    readonly leaseMs: number;
    readonly graceMs: number;
    readonly memoryBytes: number;
    readonly processes: number;
    readonly resultBytes: number;
    readonly logBytes: number;
    readonly pollMs: number;
  };
  readonly instances: {
    /** In lower case. */
    readonly headers: readonly string[];
    readonly leaseMs: number;
    readonly retentionMs: number;
    /** Absolute. */
    readonly folder: string;
  };
  /** Whole seconds, 0 turns it off. */
  readonly heartbeatMs: number;
  /** Off with `declare: 'none'`. */
  readonly discovery: { readonly enabled: boolean; readonly everyMs: number };
  readonly telemetry: { readonly spans: boolean };
  /** Without a port commands do not tell. */
  readonly monitor: { readonly host: string; readonly port: number | undefined };
  readonly stall: { readonly everyMs: number; readonly afterMs: number };
  readonly connectTimeoutMs: number;
  readonly deadline: { readonly skewToleranceMs: number };
  readonly logLevel: LogLevel;
  /** A number: for so many ms. */
  readonly wait: Waits;
  readonly restApi: RestApiSettings | undefined;
  readonly http: Required<Omit<HttpSettings, 'token'>> & { readonly token: string | undefined };
}
