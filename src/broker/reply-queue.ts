import type { Logger } from '../lifecycle/logger.ts';
import type { Service, ServiceState } from '../lifecycle/service.ts';
import type { ReplyListener } from '../message/replies.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import type { BrokerConnection } from './connection.ts';
import { TemporaryQueue } from './temporary-queue.ts';
import { unlessAborted, within } from './within.ts';

export interface ReplyQueueOptions {
  readonly connection: BrokerConnection;
  /** Of this instance alone; it deletes itself with its queue, and that goes with the connection. */
  readonly exchange: string;
  readonly onReply: ReplyListener['onReply'];
  readonly logger: Logger;
}

/**
 * The way back for callees that answer by a message to an exchange: a topic exchange of our own, bound with `#` to a
 * temporary queue. Nothing is acked: whoever waits, waits in memory. `start` resolves also when it may not receive:
 * there is another way back.
 */
export class ReplyQueue implements Service {
  readonly name: string;
  readonly #exchange: string;
  readonly #queue: TemporaryQueue;
  readonly #connection: BrokerConnection;

  constructor({ connection, exchange, onReply, logger }: ReplyQueueOptions) {
    this.name = `replies to ${exchange}`;
    this.#exchange = exchange;
    this.#connection = connection;
    this.#queue = new TemporaryQueue({
      connection,
      name: this.name,
      bind: async (channel, queue) => {
        await channel.assertExchange(exchange, 'topic', { durable: false, autoDelete: true });
        await channel.bindQueue(queue, exchange, '#');
      },
      onMessage: ({ content, properties }) => onReply({ body: content, properties }),
      onRefused: (error) => {
        const isForbidden = replyCode(error) === REPLY.accessRefused;
        if (isForbidden) logger.warn({ exchange, error: brokerText(error) }, 'answers by message cannot be received');
        return !isForbidden;
      },
      logger,
    });
  }

  get state(): ServiceState {
    return this.#queue.state;
  }

  /**
   * Where answers can be sent to; undefined where it may not receive, or is not started. The name is the same on the next
   * connection: a call that waits for that carries it.
   */
  get address(): string | undefined {
    return this.#queue.state === 'running' && !this.#queue.isGivenUp ? this.#exchange : undefined;
  }

  /** Whether there is something for `ready` to wait for. */
  get isReady(): boolean {
    return this.#queue.decided === undefined;
  }

  /**
   * Resolves when answers to the address arrive, or it is known that they cannot at the moment. A callee that is asked
   * before, on a new connection, may answer to an exchange that is not there again.
   * @throws BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE) when there is no connection within the time
   * @throws the signal's reason
   */
  async ready(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const silent = () => this.#connection.unavailable(`none within ${timeoutMs} ms`);
    const decided = within(timeoutMs, this.#decided(), silent);
    await (signal ? unlessAborted(decided, signal) : decided);
  }

  async #decided(): Promise<void> {
    while (this.#queue.decided) await this.#queue.decided;
  }

  start(): Promise<void> {
    return this.#queue.start();
  }

  stop(): Promise<void> {
    return this.#queue.stop();
  }
}
