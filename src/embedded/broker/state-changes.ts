import type { Binding } from './binding.ts';
import type { Exchange } from './exchange.ts';
import type { Queue } from './queue.ts';
import type { QueuedMessage } from './queued-message.ts';

/** What happens to a virtual host, told as it happens: whatever a restart would have to know. */
export interface StateChanges {
  exchangeAdded(exchange: Exchange): void;
  exchangeDeleted(exchange: Exchange): void;
  queueAdded(queue: Queue): void;
  queueDeleted(queue: Queue): void;
  bound(binding: Binding): void;
  unbound(binding: Binding): void;
  /** A message came into a queue. */
  came(queue: Queue, entry: QueuedMessage): void;
  /** It went to a client that has to settle it. */
  delivered(queue: Queue, entry: QueuedMessage): void;
  /** It is not in the queue any more, and with no client. */
  left(queue: Queue, entry: QueuedMessage): void;
}

const nothing = (): void => undefined;

/** For a broker that keeps nothing. */
export const UNRECORDED: StateChanges = Object.freeze({
  exchangeAdded: nothing,
  exchangeDeleted: nothing,
  queueAdded: nothing,
  queueDeleted: nothing,
  bound: nothing,
  unbound: nothing,
  came: nothing,
  delivered: nothing,
  left: nothing,
});
