/** Who sent what to which queue: a message's effect happens once for each of these. */
export interface InboxKey {
  readonly queue: string;
  /** The sender's app id, or '' when it gives none. */
  readonly source: string;
  /** `message_id`, else exchange + event id. */
  readonly messageId: string;
}

export interface InboxRequest {
  readonly key: InboxKey;
  /** Set when the message has a key: a parked key is not handled. */
  readonly orderKey?: string | undefined;
  /** A copy put back from the dead letters passes a `dead` mark, and a parked key; never a `done` mark. */
  readonly isRedriven: boolean;
  /** Named in warnings about transactions that hold connections. */
  readonly handler: string;
  /** Aborts when the message is not ours any more: one that waits for its turn then is not run. @default never */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long the work may take, in ms: a statement of it that takes longer is ended (a shorter time that is set stays), and
   * it is not repeated for the sake of another transaction later than that.
   * @default without a limit, other than the database's own settings
   */
  readonly timeoutMs?: number | undefined;
}

/** How messages share transactions. */
export interface InboxGroups {
  /** Most messages of one transaction, ≥ 2. */
  readonly size: number;
  /** Most of these transactions at once, ≥ 1. */
  readonly atOnce: number;
}

/**
 * `handled`: this transaction claimed the message, `work` ran, both are committed. Otherwise `work` did not run:
 * `done` its effect is committed already, `dead` it was given up before, `parked` its key waits in the dead letters.
 */
export type InboxResult<T> =
  | { readonly kind: 'handled'; readonly value: T }
  | { readonly kind: 'done' | 'dead' | 'parked' };

/** @param transaction the handle that the user's own library knows: `context.transaction` */
export type InboxWork<T> = (transaction: unknown) => Promise<T>;

/** A key whose messages go to the dead letters, as it was seen. */
export interface ParkedKey {
  readonly orderKey: string;
  /** Another one when it has been parked again. */
  readonly parkedAt: string;
}

export interface Inbox {
  /**
   * Opens a transaction, claims the key as its first statement (a concurrent copy waits here), runs `work` with the
   * transaction ambient, writes the events published meanwhile, commits. `work` throwing rolls all of it back and rethrows.
   */
  handle<T>(request: InboxRequest, work: InboxWork<T>): Promise<InboxResult<T>>;
  /**
   * The same for messages that share a transaction: those that come while one is under way wait for the next, their
   * `work` runs one after the other, and `handle` resolves after the commit of all. When one throws, all is rolled
   * back, it alone is rejected, and the work of the others runs again: so `work` may run more than once.
   */
  grouped(groups: InboxGroups): Pick<Inbox, 'handle'>;
  /** After the copy in the dead letters is confirmed, before the ack. Never overwrites `done`. */
  markDead(key: InboxKey): Promise<void>;
  /** Parks a key, or once more: from now on its messages go to the dead letters behind the one that failed. */
  parkKey(queue: string, orderKey: string): Promise<void>;
}
