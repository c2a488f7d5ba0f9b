import { InvalidArgumentError } from '../errors.ts';
import { type Logger, silentLogger } from '../lifecycle/logger.ts';
import { assertKnownNames } from '../util/assert-object.ts';
import { type Duration, durationMs } from '../util/duration.ts';
import { checkedHeaders } from './headers.ts';
import type { TlsOptions } from './transport.ts';

export interface RetryOptions {
  /** Sendings in all, ≥ 1. @default 3 */
  readonly attempts?: number | undefined;
  /** Ceiling of the first wait (the wait is drawn evenly below it); doubles each time. @default '100ms' */
  readonly initialDelay?: Duration | undefined;
  /** Ceiling of every wait. `Retry-After` may ask for more, as long as the deadline allows it. @default '2s' */
  readonly maxDelay?: Duration | undefined;
}

export interface BreakerOptions {
  /** Failures in a row (no connection, time-out, 502, 503, 504) after which a host is left alone, ≥ 1. @default 10 */
  readonly failures?: number | undefined;
  /** For how long, before one request is let through to see. @default '5s' */
  readonly openFor?: Duration | undefined;
}

export interface RestClientOptions {
  /** Origin and base path that every path stays below, `http://` or `https://`. */
  readonly host: string;
  /** Path below `host` that gives a bearer token for the credential. @default none: requests carry no token */
  readonly authUrl?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** What is posted to `authUrl` instead of username and password. */
  readonly credential?: Readonly<Record<string, unknown>> | undefined;
  /** Headers of every request to the origin of `host`; never sent to another. @default none */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** For a whole call: login, all attempts, body. A number is milliseconds; > 0. @default '10s' */
  readonly timeoutMs?: Duration | undefined;
  /** Most connections to one origin, ≥ 1; further requests wait. @default 100 */
  readonly connections?: number | undefined;
  /** Largest body of an answer, in bytes, also after decompression. @default 16 MiB */
  readonly maxResponseBytes?: number | undefined;
  /** Of idempotent methods, and of requests with an `Idempotency-Key`. `false`: none. */
  readonly retry?: RetryOptions | false | undefined;
  /** `false`: none. */
  readonly breaker?: BreakerOptions | false | undefined;
  /** Certificates, as `tls.connect` takes them. Verification cannot be turned off. */
  readonly tls?: TlsOptions | undefined;
  /** Told when a host is left alone, and when it is back. @default nobody */
  readonly logger?: Logger | undefined;
}

export interface ResolvedRetry {
  readonly attempts: number;
  readonly initialMs: number;
  readonly maxMs: number;
}

export interface ResolvedBreaker {
  readonly failures: number;
  readonly openMs: number;
}

export interface ResolvedRestClientOptions {
  readonly host: string;
  readonly login: { readonly path: string; readonly credential: Readonly<Record<string, unknown>> } | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly connections: number;
  readonly maxResponseBytes: number;
  readonly retry: ResolvedRetry;
  /** undefined: hosts are never left alone. */
  readonly breaker: ResolvedBreaker | undefined;
  readonly tls: TlsOptions;
  readonly logger: Logger;
}

export const REST_CLIENT_DEFAULTS = Object.freeze({
  timeoutMs: '10s',
  connections: 100,
  maxResponseBytes: 16 * 1024 * 1024,
  retry: Object.freeze({ attempts: 3, initialDelay: '100ms', maxDelay: '2s' }),
  breaker: Object.freeze({ failures: 10, openFor: '5s' }),
} as const);

const NAMES = [
  'host',
  'authUrl',
  'username',
  'password',
  'credential',
  'headers',
  'timeoutMs',
  'connections',
  'maxResponseBytes',
  'retry',
  'breaker',
  'tls',
  'logger',
] as const satisfies readonly (keyof RestClientOptions)[];

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) */
export function resolveRestClientOptions(options: RestClientOptions): ResolvedRestClientOptions {
  // axios calls its deadline `timeout`: overlooked, a call would have another one.
  assertKnownNames('options', options, NAMES);
  const { retry = {}, breaker = {} } = options;
  return {
    host: options.host,
    login: loginOf(options),
    headers: checkedHeaders(options.headers ?? {}),
    timeoutMs: positiveMs(options.timeoutMs ?? REST_CLIENT_DEFAULTS.timeoutMs, 'timeoutMs'),
    connections: count(options.connections ?? REST_CLIENT_DEFAULTS.connections, 'connections'),
    maxResponseBytes: count(options.maxResponseBytes ?? REST_CLIENT_DEFAULTS.maxResponseBytes, 'maxResponseBytes'),
    retry: retryOf(retry === false ? { attempts: 1 } : retry),
    breaker: breaker === false ? undefined : breakerOf(breaker),
    tls: options.tls ?? {},
    logger: options.logger ?? silentLogger,
  };
}

function loginOf({ authUrl, username, password, credential }: RestClientOptions): ResolvedRestClientOptions['login'] {
  const hasName = username !== undefined || password !== undefined;
  if (authUrl === undefined) {
    if (!hasName && !credential) return undefined;
    throw new InvalidArgumentError('authUrl', 'a path that the credential is sent to', 'nothing');
  }
  if (credential && hasName) {
    throw new InvalidArgumentError('credential', 'either credential, or username and password', 'both');
  }
  if (!credential && (username === undefined || password === undefined)) {
    throw new InvalidArgumentError('credential', 'username and password, or a credential, for authUrl', 'neither');
  }
  return { path: authUrl, credential: credential ?? { username, password } };
}

function retryOf(retry: RetryOptions): ResolvedRetry {
  assertKnownNames('retry', retry, ['attempts', 'initialDelay', 'maxDelay'] satisfies (keyof RetryOptions)[]);
  const defaults = REST_CLIENT_DEFAULTS.retry;
  return {
    attempts: count(retry.attempts ?? defaults.attempts, 'retry.attempts'),
    initialMs: positiveMs(retry.initialDelay ?? defaults.initialDelay, 'retry.initialDelay'),
    maxMs: positiveMs(retry.maxDelay ?? defaults.maxDelay, 'retry.maxDelay'),
  };
}

function breakerOf(breaker: BreakerOptions): ResolvedBreaker {
  assertKnownNames('breaker', breaker, ['failures', 'openFor'] satisfies (keyof BreakerOptions)[]);
  const defaults = REST_CLIENT_DEFAULTS.breaker;
  return {
    failures: count(breaker.failures ?? defaults.failures, 'breaker.failures'),
    openMs: positiveMs(breaker.openFor ?? defaults.openFor, 'breaker.openFor'),
  };
}

/** Node's timers wrap around above it. */
const MAX_TIMER_MS = 2_147_483_647;

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) unless it is a duration that a timer can wait */
export function positiveMs(value: Duration, argument: string): number {
  const ms = durationMs(value, argument);
  if (ms > 0 && ms <= MAX_TIMER_MS) return ms;
  throw new InvalidArgumentError(argument, `a duration > 0 and of at most ${MAX_TIMER_MS} ms`, String(value));
}

function count(value: number, argument: string): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError(argument, 'a whole number ≥ 1', String(value));
}
