import type { Message } from './message.ts';

/** A message that passed an exchange, as a copy of it came by. */
export interface WatchedMessage extends Message {
  readonly body: Buffer;
}

export interface WatchOptions {
  /** One that exists; it is not declared. */
  readonly exchange: string;
  /** As a queue is bound: a pattern on a topic exchange, a routing key on a direct one. @default '#' */
  readonly pattern?: string | undefined;
  /** What it throws, or its promise rejects with, is logged. Of more than 20 that are not done the broker waits. */
  readonly onMessage: (message: WatchedMessage) => unknown;
}
