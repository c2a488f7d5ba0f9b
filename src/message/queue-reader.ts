import type { Delivery } from './subscriber.ts';

/** `full`: as many messages are unsettled as may be, 65,535. `empty`: no further one waits at the moment. */
export type Read =
  | { readonly kind: 'message'; readonly delivery: Delivery }
  | { readonly kind: 'empty' }
  | { readonly kind: 'full' };

/** A queue that is being read, oldest message first. */
export interface OpenQueue {
  /** Messages that waited when it was opened. */
  readonly waiting: number;
  /**
   * @throws QueueUnavailableError (SVC_COMM_QUEUE_UNAVAILABLE) when the broker ended it: what was not settled is back in
   *   its place
   */
  next(): Promise<Read>;
  /** Whatever was not acked goes back to its place in the queue; of it only the redelivery marks have changed. */
  close(): Promise<void>;
}

/** Looks through a queue, takes some messages out, and leaves the others as they were. */
export interface QueueReader {
  /**
   * @throws QueueUnavailableError (SVC_COMM_QUEUE_UNAVAILABLE) also when someone else reads it: two who give back mix its
   *   order
   * @throws BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE)
   */
  open(queue: string): Promise<OpenQueue>;
}
