import type { Channel } from 'amqplib';
import type { Logger } from '../lifecycle/logger.ts';
import type { Service, ServiceState } from '../lifecycle/service.ts';
import type { ReplyListener } from '../message/replies.ts';
import type { DeclareMode } from '../message/topology.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import type { BrokerConnection } from './connection.ts';
import { ExchangeCheck } from './exchange-check.ts';
import { TemporaryQueue } from './temporary-queue.ts';
import { unlessAborted, within } from './within.ts';

export interface ReplyQueueOptions {
  readonly connection: BrokerConnection;
  /** A durable topic exchange, of all instances of the service; with `create` it is made when it is missing. */
  readonly exchange: string;
  readonly declare: Exclude<DeclareMode, 'none'>;
  /** Of what comes, all instances of the service are told. Must not throw. */
  readonly onReply: ReplyListener['onReply'];
  readonly logger: Logger;
}

/**
 * The way back for callees that answer by a message to an exchange: one of the service's own, bound with `#` to a
 * temporary queue of each instance. The exchange stays: a callee may answer when the caller has gone, and a publish to
 * one that is not there costs it its channel. Nothing is acked: whoever waits, waits in memory. `start` resolves also
 * when it may not receive: there is another way back.
 */
export class ReplyQueue implements Service {
  readonly name: string;
  readonly #exchange: string;
  readonly #queue: TemporaryQueue;
  readonly #exchanges: ExchangeCheck;
  readonly #connection: BrokerConnection;
  /** Why the exchange is not there and cannot be made. */
  #refusal: string | undefined;

  constructor({ connection, exchange, declare, onReply, logger }: ReplyQueueOptions) {
    this.name = `replies to ${exchange}`;
    this.#exchange = exchange;
    this.#exchanges = new ExchangeCheck(connection, { mode: declare, types: { [exchange]: 'topic' } });
    this.#connection = connection;
    this.#queue = new TemporaryQueue({
      connection,
      name: this.name,
      bind: (channel, queue) => this.#bind(channel, queue),
      onMessage: ({ content, properties }) => onReply({ body: content, properties }),
      onRefused: (error) => {
        // What else the broker says (the exchange was deleted meanwhile) may be otherwise the next time.
        const isForGood = this.#refusal !== undefined || replyCode(error) === REPLY.accessRefused;
        const reason = this.#refusal ?? brokerText(error);
        if (isForGood) logger.warn({ exchange, error: reason }, 'answers by message cannot be received');
        return !isForGood;
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
   * Resolves when answers to the address arrive, or it is known that they cannot at the moment. Of a callee that is asked
   * before, on a new connection, the answer may come before the queue that it is for.
   * @throws BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE) when there is no connection within the time
   * @throws the signal's reason
   */
  async ready(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const silent = () => this.#connection.unavailable(`none within ${timeoutMs} ms`);
    const decided = within(timeoutMs, this.#decided(), silent);
    await (signal ? unlessAborted(decided, signal) : decided);
  }

  async #bind(channel: Channel, queue: string): Promise<void> {
    const open = this.#connection.current;
    this.#exchanges.forget();
    const verdict = open && (await this.#exchanges.ensure(this.#exchange, open));
    this.#refusal = verdict?.kind === 'refused' ? verdict.reason : undefined;
    // Fails with the broker's code, unless somebody has made it meanwhile.
    if (this.#refusal !== undefined) await channel.checkExchange(this.#exchange);
    this.#refusal = undefined;
    await channel.bindQueue(queue, this.#exchange, '#');
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
