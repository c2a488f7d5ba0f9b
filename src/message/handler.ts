import type { Logger } from '../lifecycle/logger.ts';
import type { Delivery } from './subscriber.ts';

/** What a handler sees of a message besides its content. On a retried copy these are those of the first delivery. */
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
  readonly body: unknown;
}

/**
 * What becomes of a message.
 * - `ack`: the broker forgets it. `value` is what the handler returned.
 * - `retry`: a copy waits in a retry queue (or in place, for a keyed one), `delayMs` asked for or by the settings.
 * - `dead`: a copy goes to the dead letters with the reason, then it is acked.
 * - `release`: given back to the queue untouched, no attempt counted: infrastructure failed, or we are stopping.
 */
export type Verdict =
  | { readonly kind: 'ack'; readonly outcome: AckOutcome; readonly value?: unknown }
  | { readonly kind: 'retry'; readonly error: Error; readonly delayMs?: number }
  | { readonly kind: 'dead'; readonly reason: DeadReason; readonly error: Error }
  | { readonly kind: 'release'; readonly error: Error };

export const ACK_OUTCOMES = ['handled', 'duplicate', 'expired', 'unhandled'] as const;
export type AckOutcome = (typeof ACK_OUTCOMES)[number];

export const DEAD_REASONS = ['rejected', 'attempts', 'malformed', 'unhandled', 'parked'] as const;
export type DeadReason = (typeof DEAD_REASONS)[number];

/** Takes a message to its verdict. It never throws: what the user's code throws becomes a verdict at the innermost layer. */
export type Handler = (incoming: Incoming, context: MessageContext) => Promise<Verdict>;

/** Wraps a handler in another: timeouts, deadlines, the inbox, correlation. The first of a list is the outermost. */
export type Middleware = (next: Handler) => Handler;
