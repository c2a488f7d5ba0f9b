import type { Message } from './message.ts';

/** Keeps a message until a time: rows of the future table. For delays longer than the retry queues have. */
export interface Scheduler {
  /** Resolves when the row is committed. */
  schedule(message: Message, at: Date): Promise<void>;
}
