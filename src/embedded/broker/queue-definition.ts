import type { Alarms } from './alarm.ts';
import type { FieldTable } from './field-table.ts';
import type { Message } from './message.ts';
import type { Queue } from './queue.ts';
import type { QueueSettings } from './queue-arguments.ts';
import type { QueuedMessage } from './queued-message.ts';

/** A queue as it was declared. */
export interface QueueDefinition {
  readonly name: string;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  /** The connection that alone may use it. */
  readonly owner: object | undefined;
  readonly arguments: FieldTable;
  readonly settings: QueueSettings;
}

/** Why a message became a dead letter. */
export type DeathReason = 'expired' | 'maxlen' | 'rejected' | 'delivery_limit';

/** What a queue needs of the broker around it. */
export interface QueueHost {
  readonly alarms: Alarms;
  deadLetter(queue: Queue, message: Message, reason: DeathReason): void;
  /** Nothing uses the queue any more. */
  abandoned(queue: Queue): void;
  /** A message came into the queue. @param bytes of memory that it takes */
  came(queue: Queue, entry: QueuedMessage, bytes: number): void;
  /** It went to a client that has to settle it. */
  delivered(queue: Queue, entry: QueuedMessage): void;
  /** It is gone. */
  left(queue: Queue, entry: QueuedMessage, bytes: number): void;
}
