import type { Message } from './message.ts';

/** A message in one queue. */
export interface QueuedMessage {
  readonly message: Message;
  /** Its number in this queue, the same as long as it is there. */
  readonly id: number;
  /** Its place in the queue, which it returns to when it is given back. */
  readonly position: number;
  /** Clock time in ms from which it is expired. */
  readonly expiresAt: number | undefined;
  isRedelivered: boolean;
  /** How often it was given back: what a quorum queue counts against its delivery limit. */
  returns: number;
}
