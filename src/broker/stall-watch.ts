import type { Logger } from '../lifecycle/logger.ts';
import { sleep } from '../util/sleep.ts';
import { brokerText, replyCode } from './amqp-error.ts';
import { withChannel } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';
import type { DeliveryChannel } from './delivery-channel.ts';

export interface StallOptions {
  /** How often a consumer that is brought nothing asks whether something waits. Milliseconds, ≥ 1. */
  readonly everyMs: number;
  /** So long may messages wait, with room for them here, before the connection is given up. Milliseconds; 0: for ever. */
  readonly afterMs: number;
}

export const DEFAULT_STALL_OPTIONS: StallOptions = Object.freeze({ everyMs: 5_000, afterMs: 30_000 });

/** A new connection that is brought nothing either is given up later each time: it may not be its fault. */
const MAX_AFTER_MS = 600_000;

export interface WatchedConsumer {
  readonly connection: BrokerConnection;
  readonly open: OpenConnection;
  readonly source: DeliveryChannel;
  readonly queue: string;
  readonly prefetch: number;
  /** Then one that was never brought anything may be waiting for its turn, and is left alone. */
  readonly isSingleActive: boolean;
}

/**
 * Notices a connection that looks well and brings nothing: after a failover of its node RabbitMQ can leave a consumer
 * behind that no queue knows (rabbitmq-server#15473, #11228), and heartbeats go on. When messages wait in the queue, this
 * consumer has room for them, and none comes for `afterMs`, the connection is given up and made anew at the next node.
 */
export class StallWatch {
  readonly #options: StallOptions;
  readonly #logger: Logger;
  /** Connections in a row that brought nothing. */
  #stalls = 0;
  #isRefused = false;

  constructor(options: StallOptions, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
  }

  /** Looks until the signal aborts. Never rejects. */
  async watch(consumer: WatchedConsumer, signal: AbortSignal): Promise<void> {
    const { everyMs, afterMs } = this.#options;
    const { source, prefetch, isSingleActive } = consumer;
    let brought = source.brought;
    /** Since when messages wait, by our own looks: one that came just now has not waited. */
    let waitingSince: number | undefined;
    while (afterMs > 0 && !this.#isRefused) {
      await sleep(everyMs, signal);
      if (signal.aborted) return;
      const isBrought = source.brought !== brought;
      brought = source.brought;
      if (isBrought) this.#stalls = 0;
      const isFull = source.unfinished >= prefetch;
      if (isBrought || isFull || (isSingleActive && brought === 0)) {
        waitingSince = undefined;
        continue;
      }
      const waiting = await this.#waiting(consumer);
      if (signal.aborted) return;
      if (!waiting || source.brought !== brought) waitingSince = undefined;
      else waitingSince ??= performance.now();
      if (waitingSince === undefined) continue;
      const waitedMs = performance.now() - waitingSince;
      if (waitedMs < Math.min(afterMs * 2 ** this.#stalls, Math.max(afterMs, MAX_AFTER_MS))) continue;
      this.#stalls += 1;
      this.#giveUp(consumer, waiting, Math.round(waitedMs));
      return;
    }
  }

  #giveUp({ connection, open, queue, source }: WatchedConsumer, waiting: number, waitedMs: number): void {
    const fields = { queue, waiting, waitedMs, unfinished: source.unfinished };
    this.#logger.warn(fields, 'messages wait and none is brought though there is room: taking a new connection');
    connection.recycle(open.epoch, connection.unavailable(`queue ${queue} has messages and brings none`));
  }

  /** How many messages are ready; 0 when the broker does not say, which is then noticed elsewhere. */
  async #waiting({ connection, open, queue }: WatchedConsumer): Promise<number> {
    try {
      const { messageCount } = await withChannel(connection, open, (channel) => channel.checkQueue(queue));
      return messageCount;
    } catch (error) {
      // From RabbitMQ 4.3 even looking at a queue may need the right to configure it.
      if (replyCode(error) === 403) {
        this.#isRefused = true;
        this.#logger.warn(
          { queue, problem: brokerText(error) },
          'not allowed to look at the queue: a stall goes unseen',
        );
      }
      return 0;
    }
  }
}
