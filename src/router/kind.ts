import { InvalidArgumentError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Incoming, MessageContext, Middleware } from '../message/handler.ts';
import type { Publisher } from '../message/publisher.ts';
import { type Duration, parseDuration } from '../util/duration.ts';
import type { JsonLimits } from '../wire/json.ts';

/** Options that every kind of consumer takes. */
export interface ConsumerOptions {
  /**
   * Whether the handler runs in a transaction that also holds the inbox row, so that its effect happens once.
   * @default true when a database is set. Without one, `true` is an error at start.
   */
  readonly inbox?: boolean;
  /**
   * How long a run may take before it counts as failed and `context.signal` aborts: a duration, or seconds; above 0,
   * at most 24 days. @default the `handlerTimeout` setting
   */
  readonly timeout?: Duration;
  /**
   * Most messages of this consumer that share one transaction, 1 … 1000: they run one after the other, and are acked when
   * all is committed. When one fails, the others run again; so it is for functions that only write to the database.
   * @default the `inbox.group` setting
   */
  readonly group?: number;
}

export interface ResolvedConsumerOptions {
  /** undefined: as the service does by default. */
  readonly inbox: boolean | undefined;
  readonly timeoutMs: number | undefined;
  readonly group: number | undefined;
}

/**
 * How long after a failed run the message is run again, in ms; undefined: it has had its attempts.
 * @param requestedMs what RetryLater asked for
 */
export type NextRunMs = (incoming: Incoming, requestedMs: number | undefined) => number | undefined;

/** What kinds that answer are given. */
export interface AnsweringParts {
  /** Of answers that are sent at once. */
  readonly publisher: Publisher;
  /** The outbox, bound to the transaction that the handler runs in; undefined without a database. */
  readonly inTransaction?: Publisher | undefined;
  /** AMQP `app_id` of answers. */
  readonly appId: string;
  /** Of answers: what callers with the same settings would refuse is an error of the callee. */
  readonly limits: JsonLimits;
  /** Milliseconds since the epoch, by the clock that deadlines are held against. */
  readonly now: () => number;
  readonly skewToleranceMs: number;
  readonly nextRunMs: NextRunMs;
  /** An answer reached nobody. */
  readonly onUnanswered: () => void;
  readonly logger: Logger;
}

export interface AnsweringLayers {
  readonly outer: Middleware;
  readonly inner: Middleware;
}

/** The user's function, bound to whatever it is a method of. */
export type UserCall = (...args: unknown[]) => unknown;

export const isUserCall = (value: unknown): value is UserCall => typeof value === 'function';

/**
 * How a message becomes arguments of the user's function: one value for each of `rawConsumer`, `eventConsumer` and
 * their like. The router knows none of them by name.
 */
export interface ConsumerKind {
  readonly name: string;
  readonly options: ResolvedConsumerOptions;
  /**
   * For kinds that are not to be executed after a time: when that is, read from the parsed body.
   * @throws MalformedMessageError when there is one and it cannot be read
   */
  readonly deadlineOf?: (body: unknown) => Date | undefined;
  /**
   * Whether an `eventId` in the body says which message it is. In kinds whose bodies hold the sender's own arguments it is
   * one of them, and two different messages may have the same. @default false
   */
  readonly hasEventId?: boolean;
  /** For kinds that answer: layers around the inbox, and innermost, around the user's function. */
  readonly answering?: (parts: AnsweringParts) => AnsweringLayers;
  /**
   * Decodes, calls, and returns what the user's function returns.
   * @throws MalformedMessageError when the body is not what this kind reads, and whatever the user's function throws
   */
  invoke(call: UserCall, incoming: Incoming, context: MessageContext): unknown;
}

/** Node's timers take 31 bits and fire at once for more. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Messages that share a transaction: more would hold its locks for long and gain nothing. */
export const MAX_GROUP = 1000;

const KNOWN: readonly string[] = ['inbox', 'timeout', 'group'] satisfies (keyof ConsumerOptions)[];

/**
 * @param flags names of further options, each true or false
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for a wrong value or a name that is no option
 */
export function resolveConsumerOptions(
  decorator: string,
  options: ConsumerOptions,
  flags: readonly string[] = [],
): ResolvedConsumerOptions {
  const known = [...KNOWN, ...flags];
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`${decorator} options`, `any of ${known.join(', ')}`, unknown);
  }
  for (const [name, value] of Object.entries(options)) {
    if (name !== 'timeout' && name !== 'group' && value !== undefined && typeof value !== 'boolean') {
      throw new InvalidArgumentError(`${decorator} ${name}`, 'true or false', String(value));
    }
  }
  const { inbox, timeout, group } = options;
  if (group !== undefined && !isGroupSize(group)) {
    throw new InvalidArgumentError(`${decorator} group`, `a whole number from 1 to ${MAX_GROUP}`, String(group));
  }
  if (inbox === false && group !== undefined && group > 1) {
    throw new InvalidArgumentError(`${decorator} group`, '1, or left out, with inbox: false', String(group));
  }
  const timeoutMs = timeout === undefined ? undefined : timerMs(`${decorator} timeout`, timeout, 's');
  return { inbox, timeoutMs, group };
}

const isGroupSize = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MAX_GROUP;

/** A duration that a timer can wait, in whole milliseconds. */
export function timerMs(argument: string, value: Duration, unit: 's' | 'ms'): number {
  const ms = parseDuration(value, unit);
  if (ms === undefined || ms <= 0 || ms > MAX_TIMER_MS) {
    throw new InvalidArgumentError(argument, "a duration such as '30s', above 0 and at most 24 days", String(value));
  }
  return Math.ceil(ms);
}
