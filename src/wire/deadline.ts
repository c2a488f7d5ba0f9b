import { InvalidArgumentError } from '../errors.ts';
import { kindOf } from '../util/assert-object.ts';
import { type Duration, keptDurationMs } from '../util/duration.ts';
import { isJsonObject, type JsonObject, readField } from './envelope.ts';
import { formatTime, parseTime } from './time.ts';

/** AMQP `expiration` is checked by RabbitMQ as an integer below 2^32; a channel that sends another is closed. */
export const MAX_EXPIRATION_MS = 4_294_967_295;

/** Commands outlive their deadline on the broker by this much: the net against pile-up must not beat the consumer's own check. */
export const EXPIRATION_MARGIN_MS = 60_000;

export interface DeadlineOptions {
  /** Seconds from now, or a duration such as `'30s'`. */
  readonly timeout?: Duration | undefined;
  readonly expiredTime?: Date | undefined;
}

/**
 * The time from which a message must not be executed, from either way of saying it.
 * @throws InvalidArgumentError when both are given, or the deadline is not ahead of `now`
 */
export function resolveDeadline(options: DeadlineOptions, now: number): Date | undefined {
  const { timeout, expiredTime } = options;
  if (timeout !== undefined && expiredTime !== undefined) {
    throw new InvalidArgumentError('timeout', 'either timeout or expiredTime', 'both');
  }
  if (timeout === undefined && expiredTime === undefined) return undefined;
  const deadline = timeout === undefined ? expiredTime : new Date(now + keptDurationMs(timeout, 'timeout', 's'));
  if (!(deadline instanceof Date)) throw new InvalidArgumentError('expiredTime', 'a Date', kindOf(deadline));
  if (!(deadline.getTime() > now)) {
    throw new InvalidArgumentError(
      timeout === undefined ? 'expiredTime' : 'timeout',
      'a deadline in the future',
      formatAny(deadline),
    );
  }
  formatTime(deadline, timeout === undefined ? 'expiredTime' : 'timeout');
  return deadline;
}

/**
 * The AMQP `expiration` for a deadline: `'expired'` when nothing remains (do not send), undefined when there is no
 * deadline or it lies further ahead than AMQP can say.
 */
export function expirationFor(remainingMs: number | undefined): string | 'expired' | undefined {
  if (remainingMs === undefined) return undefined;
  if (remainingMs <= 0) return 'expired';
  const ms = Math.ceil(remainingMs) + EXPIRATION_MARGIN_MS;
  return ms > MAX_EXPIRATION_MS ? undefined : String(ms);
}

/** Strict: at the deadline it is expired. @param skewToleranceMs for those who would rather run late than drop early */
export const isExpired = (deadline: Date | undefined, now: number, skewToleranceMs = 0): boolean =>
  deadline !== undefined && now >= deadline.getTime() + skewToleranceMs;

/** `meta.expiredTime` of a command or call. @throws MalformedMessageError (reason `invalid-time`) */
export function readDeadline(meta: unknown): Date | undefined {
  if (!isJsonObject(meta)) return undefined;
  const value = readField(meta, 'expiredTime');
  return value === undefined || value === null ? undefined : parseTime(value, 'meta.expiredTime');
}

/** The same of a whole body, for those that know nothing else of it yet: one that is no object has none. */
export const readBodyDeadline = (body: unknown): Date | undefined =>
  isJsonObject(body) ? readDeadline(body.meta) : undefined;

export const deadlineMeta = (deadline: Date | undefined): JsonObject =>
  deadline ? { expiredTime: formatTime(deadline, 'expiredTime') } : {};

const formatAny = (date: Date): string => (Number.isNaN(date.getTime()) ? 'an invalid Date' : date.toISOString());
