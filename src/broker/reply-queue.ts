import type { Channel } from 'amqplib';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import type { ReplyListener } from '../message/replies.ts';
import { backoffMs } from '../util/backoff.ts';
import { sleep } from '../util/sleep.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import { answered, closeChannel, openChannel } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';

export interface ReplyQueueOptions {
  readonly connection: BrokerConnection;
  /** Of this instance alone; it goes with its queue, and that with the connection. */
  readonly exchange: string;
  readonly onReply: ReplyListener['onReply'];
  readonly logger: Logger;
}

/**
 * The way back for callees that answer by a message to an exchange: a topic exchange of our own that deletes itself,
 * bound with `#` to an exclusive classic queue that the broker names (the old one may still be held by a connection that
 * the broker has not noticed to be gone). Nothing is acked: whoever waits, waits in memory.
 */
export class ReplyQueue implements Service {
  readonly name: string;
  readonly #options: ReplyQueueOptions;
  readonly #lifecycle: Lifecycle;
  #stop = new AbortController();
  #unlisten: () => void = () => undefined;
  #channel: Channel | undefined;
  #isForbidden = false;

  constructor(options: ReplyQueueOptions) {
    this.name = `replies to ${options.exchange}`;
    this.#options = options;
    this.#lifecycle = new Lifecycle(this.name, { start: () => this.#start(), stop: () => this.#end() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /** Where answers can be sent to at the moment. */
  get address(): string | undefined {
    return this.#channel && this.#options.exchange;
  }

  /** Resolves when it receives, or cannot for now: there is another way back. */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #start(): Promise<void> {
    const { connection } = this.#options;
    this.#stop = new AbortController();
    this.#unlisten = connection.listen({
      opened: (open) => void this.#attach(open),
      lost: () => {
        this.#channel = undefined;
      },
    });
    if (connection.current) await this.#attach(connection.current);
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    this.#unlisten();
    const channel = this.#channel;
    this.#channel = undefined;
    if (channel) await closeChannel(channel).catch(() => undefined);
  }

  /** Tries until it receives, the connection is another one, or the broker does not permit it. */
  async #attach(open: OpenConnection, failures = 0): Promise<void> {
    const { connection, logger, exchange } = this.#options;
    const { signal } = this.#stop;
    const isWanted = () => !signal.aborted && connection.current === open && !this.#isForbidden;
    while (isWanted()) {
      try {
        await this.#receive(open);
        return;
      } catch (error) {
        this.#isForbidden = replyCode(error) === REPLY.accessRefused;
        const text = this.#isForbidden ? 'answers by message cannot be received' : 'no queue for answers; trying again';
        if (isWanted() || this.#isForbidden) logger.warn({ exchange, error: brokerText(error) }, text);
        if (isWanted()) await sleep(backoffMs(failures++), signal);
      }
    }
  }

  async #receive(open: OpenConnection): Promise<void> {
    const { connection, exchange, onReply } = this.#options;
    const channel = await openChannel(connection, open);
    const declare = async (): Promise<void> => {
      await channel.assertExchange(exchange, 'topic', { durable: false, autoDelete: true });
      const { queue } = await channel.assertQueue('', { exclusive: true, durable: false, autoDelete: true });
      await channel.bindQueue(queue, exchange, '#');
      const receive = { noAck: true, exclusive: true };
      await channel.consume(
        queue,
        (message) => {
          if (message) onReply({ body: message.content, properties: message.properties });
          // The queue was deleted by somebody else.
          else closeChannel(channel).catch(() => undefined);
        },
        receive,
      );
    };
    await answered(connection, open, declare()).catch((error: unknown) => {
      closeChannel(channel).catch(() => undefined);
      throw error;
    });
    if (this.#stop.signal.aborted || connection.current !== open) {
      closeChannel(channel).catch(() => undefined);
      return;
    }
    this.#channel = channel;
    channel.once('close', () => {
      if (this.#channel !== channel) return;
      this.#channel = undefined;
      void this.#attach(open, 1);
    });
  }
}
