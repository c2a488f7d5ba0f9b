import type { InboxKey } from './inbox.ts';

/** What earlier deliveries of a message left behind. */
export interface StartMark {
  /** Runs that began alone in their process and never ended: the process died in each. */
  readonly starts: number;
  /** Whoever had it last gave it back alive: it is no suspect. Told once. */
  readonly isReturned: boolean;
}

/**
 * Remembers, where a dying process cannot take it along, which message was being handled alone. Keys that were never
 * written have no mark.
 */
export interface StartMarks {
  /** In the order of the keys. A `returned` mark is taken out by this: the next time it counts no more. */
  read(keys: readonly InboxKey[]): Promise<StartMark[]>;
  /** One more start; resolves when it would survive this process. */
  begin(key: InboxKey): Promise<void>;
  /** Its run has ended, however: nothing is left of it. */
  end(key: InboxKey): Promise<void>;
  /** Given back alive. @param isBegun a run of it had begun alone, and that start is no death's */
  giveBack(keys: readonly InboxKey[], isBegun: boolean): Promise<void>;
}

export const NO_START_MARK: StartMark = Object.freeze({ starts: 0, isReturned: false });
