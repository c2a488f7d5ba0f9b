import { InvalidArgumentError } from '../errors.ts';
import type { Incoming, MessageContext } from '../message/handler.ts';
import { type Duration, parseDuration } from '../util/duration.ts';

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
}

export interface ResolvedConsumerOptions {
  /** undefined: as the service does by default. */
  readonly inbox: boolean | undefined;
  readonly timeoutMs: number | undefined;
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
   * Decodes, calls, and returns what the user's function returns.
   * @throws MalformedMessageError when the body is not what this kind reads, and whatever the user's function throws
   */
  invoke(call: UserCall, incoming: Incoming, context: MessageContext): unknown;
}

/** Node's timers take 31 bits and fire at once for more. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const KNOWN: readonly string[] = ['inbox', 'timeout'] satisfies (keyof ConsumerOptions)[];

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for a wrong value or a name that is no option */
export function resolveConsumerOptions(decorator: string, options: ConsumerOptions): ResolvedConsumerOptions {
  const unknown = Object.keys(options).find((name) => !KNOWN.includes(name));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`${decorator} options`, `any of ${KNOWN.join(', ')}`, unknown);
  }
  const { inbox, timeout } = options;
  if (inbox !== undefined && typeof inbox !== 'boolean') {
    throw new InvalidArgumentError(`${decorator} inbox`, 'true or false', String(inbox));
  }
  return { inbox, timeoutMs: timeout === undefined ? undefined : timerMs(`${decorator} timeout`, timeout, 's') };
}

/** A duration that a timer can wait, in whole milliseconds. */
export function timerMs(argument: string, value: Duration, unit: 's' | 'ms'): number {
  const ms = parseDuration(value, unit);
  if (ms === undefined || ms <= 0 || ms > MAX_TIMER_MS) {
    throw new InvalidArgumentError(argument, "a duration such as '30s', above 0 and at most 24 days", String(value));
  }
  return Math.ceil(ms);
}
