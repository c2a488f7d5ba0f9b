import { PublishRefusedError, PublishTimeoutError, UnroutableError } from '../errors.ts';
import type { PublishOutcome } from '../message/publisher.ts';
import type { CheckedMessage } from './message-check.ts';

/** A message between being accepted and its confirm. */
export interface PublishEntry {
  readonly message: CheckedMessage;
  readonly settle: (outcome: PublishOutcome) => void;
  /** See `PublishPipe.offer`. */
  readonly mayGo: (() => boolean) | undefined;
  /** Monotonic ms, as `deadlineMs`. */
  readonly acceptedMs: number;
  /** Then its caller hears `unknown`. */
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  readonly bytes: number;
  isSent: boolean;
  /** The caller knows the outcome; the entry itself may still wait for a confirm that nobody misses any more. */
  isSettled: boolean;
  /** The broker gave it back; the confirm that follows means no more than that. */
  isReturned: boolean;
  /** Goes alone on its channel: it may be the one that closed the last. */
  isSuspect: boolean;
  /** It was sent again after a 404, its exchange having been checked anew. */
  isRechecked: boolean;
}

export function publishEntry(
  message: CheckedMessage,
  settle: (outcome: PublishOutcome) => void,
  timeoutMs: number,
  mayGo?: () => boolean,
): PublishEntry {
  const acceptedMs = performance.now();
  return {
    message,
    settle,
    mayGo,
    acceptedMs,
    deadlineMs: acceptedMs + timeoutMs,
    timeoutMs,
    bytes: message.content.length,
    isSent: false,
    isSettled: false,
    isReturned: false,
    isSuspect: false,
    isRechecked: false,
  };
}

export const CONFIRMED: PublishOutcome = Object.freeze({ kind: 'confirmed' });

/** The error is made when it is asked for: its stack costs more than the publish, and for events nobody asks. */
export function unroutable({ message: { exchange, routingKey } }: PublishEntry): PublishOutcome {
  let error: UnroutableError | undefined;
  return {
    kind: 'unroutable',
    get error() {
      error ??= new UnroutableError(exchange, routingKey);
      return error;
    },
  };
}

/** It was held up until it was not its sender's to send any more. */
export function withheld({ message: { exchange, routingKey } }: PublishEntry): PublishOutcome {
  return { kind: 'unknown', error: new PublishRefusedError(exchange, routingKey, 'it may not be sent any more') };
}

export function refused(
  { message: { exchange, routingKey } }: PublishEntry,
  why: string,
  cause?: unknown,
): PublishOutcome {
  const options = cause === undefined ? {} : { cause };
  return { kind: 'refused', error: new PublishRefusedError(exchange, routingKey, why, options) };
}

export function timedOut(
  { message: { exchange, routingKey }, timeoutMs }: PublishEntry,
  blockedReason: string | undefined,
): PublishOutcome {
  return { kind: 'unknown', error: new PublishTimeoutError(exchange, routingKey, timeoutMs, { blockedReason }) };
}
