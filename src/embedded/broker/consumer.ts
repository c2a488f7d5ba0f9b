import type { FieldTable } from './field-table.ts';
import type { Queue } from './queue.ts';
import type { QueuedMessage } from './queued-message.ts';

/** The channel, as a consumer needs it. */
export interface DeliveryTarget {
  /** Whether the socket, the flow and the channel's own prefetch have room. */
  canTake(): boolean;
  deliver(consumer: Consumer, entry: QueuedMessage): void;
  /** Rising numbers: of parked consumers the one with the lowest has waited longest. */
  nextParking(): number;
  /** Tells the client, if it understands that, that its consumer is gone with its queue. */
  cancelled(consumer: Consumer): void;
}

export interface ConsumerOptions {
  readonly tag: string;
  readonly queue: Queue;
  readonly target: DeliveryTarget;
  readonly isNoAck: boolean;
  readonly isExclusive: boolean;
  /** Higher first. */
  readonly priority: number;
  /** Unacknowledged messages that it takes at most; 0 any number. */
  readonly prefetch: number;
  readonly arguments: FieldTable;
}

/** One `basic.consume`. */
export class Consumer {
  readonly options: ConsumerOptions;
  unacked = 0;
  /** Where its queue's rota has it: *waiting* for a message, *parked* until it has room again, or *gone*. */
  place: 'waiting' | 'parked' | 'gone' = 'gone';
  /** `nextParking` of its channel when it was parked. */
  parking = 0;

  constructor(options: ConsumerOptions) {
    this.options = options;
  }

  canTake(): boolean {
    const { prefetch, target, isNoAck } = this.options;
    return (isNoAck || prefetch === 0 || this.unacked < prefetch) && target.canTake();
  }
}
