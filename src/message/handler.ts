import type { Logger } from '../lifecycle/logger.ts';
import type { Message } from './message.ts';
import type { Delivery } from './subscriber.ts';

/**
 * What a handler sees of a message besides its content. On a retried copy these are those of the first delivery.
 * A layer that changes something hands on `deriveContext(context, { … })`: members may be computed when asked for.
 */
export interface MessageContext {
  readonly messageId: string | undefined;
  readonly exchange: string;
  readonly routingKey: string;
  /** Header `svc-comm-key`: messages of one key are handled one at a time, in order. */
  readonly key: string | undefined;
  readonly headers: Delivery['properties']['headers'] & object;
  readonly properties: Delivery['properties'];
  /** 1 for the first run. */
  readonly attempt: number;
  readonly redelivered: boolean;
  /** When it must not be executed any more. */
  readonly deadline: Date | undefined;
  /** Aborts at the deadline, at the handler's time limit, when the delivery is lost, and when a drain runs out of time. */
  readonly signal: AbortSignal;
  readonly correlationId: string | undefined;
  /** The handle of the transaction that holds the inbox row; undefined when the inbox is off. */
  readonly transaction: unknown;
  readonly logger: Logger;
  readonly rawBody: Buffer;
}

/**
 * A decoded message on its way through the middleware. `body` is the parsed JSON.
 */
export interface Incoming {
  readonly delivery: Delivery;
  /** The queue's name, the first exchange and routing key (see `HEADER.exchange`). */
  readonly exchange: string;
  readonly routingKey: string;
  readonly key: string | undefined;
  readonly attempt: number;
  readonly isRedriven: boolean;
  /** Of one that is retried in place: when it failed first, on the monotonic clock. */
  readonly firstFailureMs?: number | undefined;
  readonly body: unknown;
  /** Has `body` parsed anew for a further run: the one before may have changed it. */
  renewBody?(): void;
}

/**
 * What becomes of a message.
 * - `ack`: the broker forgets it. `value` is what the handler returned, or, of a failed call, what it threw. `answer` is
 *   sent when the transaction is committed.
 * - `retry`: a copy waits in a retry queue (or in place, for a keyed one), `delayMs` asked for or by the settings.
 * - `dead`: a copy goes to the dead letters with the reason, then it is acked.
 * - `release`: given back to the queue untouched, no attempt counted: infrastructure failed, or we are stopping.
 */
export type Verdict =
  | {
      readonly kind: 'ack';
      readonly outcome: AckOutcome;
      readonly value?: unknown;
      readonly answer?: Message | undefined;
    }
  | { readonly kind: 'retry'; readonly error: Error; readonly delayMs?: number }
  | { readonly kind: 'dead'; readonly reason: DeadReason; readonly error: Error }
  | { readonly kind: 'release'; readonly error: Error };

export const ACK_OUTCOMES = ['handled', 'failed', 'duplicate', 'expired', 'unhandled'] as const;
export type AckOutcome = (typeof ACK_OUTCOMES)[number];

export const DEAD_REASONS = ['rejected', 'attempts', 'malformed', 'unhandled', 'parked', 'crashed'] as const;
export type DeadReason = (typeof DEAD_REASONS)[number];

/**
 * Takes a message to its verdict.
 *
 * The handler that a consumer is given (`MessageRouter.handlers`) never throws. The layers inside it may: throwing is
 * how a layer fails, and it must reach the inbox as a throw, since that is what rolls its transaction back. So
 * `recover` is the outermost layer but for the one that looks on, and the only one that turns what was thrown into a
 * verdict:
 *
 *   observe → recover → correlation → deadline (commands, calls) → answer (calls) → inbox, else outage → deadline → timeout → the user's
 *   middleware → the user's function
 *
 * The innermost layer returns `ack` with what the user's function returned. A layer that answers without calling the
 * next (a duplicate, a parked key) returns a verdict; the inbox commits for `ack` and rolls back for any other.
 */
export type Handler = (incoming: Incoming, context: MessageContext) => Promise<Verdict>;

/**
 * Wraps a handler in another. The first of a list is the outermost. It is called once for each route, not for each
 * message; what it returns is called for each message.
 * @example router.use((next) => (incoming, context) => tenants.run(incoming.key, () => next(incoming, context)));
 */
export type Middleware = (next: Handler) => Handler;
