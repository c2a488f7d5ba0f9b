import type { Message } from './message.ts';

/**
 * How a publish ended. `unknown`: the confirm never came (connection lost, deadline); the broker may have taken the
 * message, so it is sent again with the same message id.
 */
export type PublishOutcome =
  | { readonly kind: 'confirmed' }
  | { readonly kind: 'unroutable'; readonly error: Error }
  /** `retryAfterMs`: before that it is refused again, and after it perhaps not. */
  | { readonly kind: 'refused'; readonly error: Error; readonly retryAfterMs?: number }
  | { readonly kind: 'unknown'; readonly error: Error };

export interface PublishOptions {
  /** Milliseconds until the promise is rejected, waiting for the broker included. @default 30_000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** For this message instead of the publisher's own limit: what the broker delivered to us it takes back as well. */
  readonly maxBodyBytes?: number;
}

/** Takes messages one by one; resolves when the message is safe, by the implementation's meaning of safe. */
export interface Publisher {
  /**
   * The broker's: resolves on the confirm; after a lost connection it sends the same message again, until the deadline.
   * The outbox's: resolves when the row is in the caller's transaction.
   * @throws UnroutableError, PublishRefusedError, PublishTimeoutError, BrokerUnavailableError, MessageTooLargeError
   */
  publish(message: Message, options?: PublishOptions): Promise<void>;
}

/** The broker's publisher for those who have many messages and their own bookkeeping (the relay): no promise each. */
export interface PublishPipe {
  /** Whether `offer` may be called now: connected, not blocked by the broker, fewer than the limits in flight. */
  readonly hasRoom: boolean;
  /** Messages whose confirm is awaited. */
  readonly inFlight: number;
  /** Resolves when there is room; at once when there is some. Rejects only when the signal aborts. */
  room(signal: AbortSignal): Promise<void>;
  /**
   * Sends one message; never throws and never waits. `settle` is called exactly once, never before `offer` returns.
   * A lost connection, a closed channel or the publish deadline settle as `unknown`, except that after a channel
   * error the guilty message is found and alone is `refused`.
   * @param mayGo asked just before it goes to the broker, each time: what was held up by then may not be the sender's to
   *   send any more. When it says no, the message is not sent, and settles as `unknown`.
   */
  offer(message: Message, settle: (outcome: PublishOutcome) => void, mayGo?: () => boolean): void;
}
