import type { Channel, ConsumeMessage } from 'amqplib';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { backoffMs } from '../util/backoff.ts';
import { type Deferred, deferred } from '../util/deferred.ts';
import { sleep } from '../util/sleep.ts';
import { isError } from '../util/thrown.ts';
import { brokerText, replyCode } from './amqp-error.ts';
import { answered, closeChannel, openChannel, withChannel } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';
import { within } from './within.ts';

export interface TemporaryQueueOptions {
  readonly connection: BrokerConnection;
  /** For logs. */
  readonly name: string;
  /** Binds the queue to what exists, or is declared, by then. */
  readonly bind: (channel: Channel, queue: string) => Promise<void>;
  /** Queue arguments. @default none */
  readonly arguments?: Readonly<Record<string, unknown>>;
  /** Most messages that are unsettled; the caller acks on the channel then. @default none are settled */
  readonly prefetch?: number;
  /** amqplib's stack: must not throw. */
  readonly onMessage: (message: ConsumeMessage, channel: Channel) => void;
  /** Called with a refusal by the broker. @returns false to give up; a throw is the start's */
  readonly onRefused: (error: Error) => boolean;
  /** It has received, and does not for now. Not called by `stop`. @default nothing is done */
  readonly onLost?: () => void;
  readonly logger: Logger;
}

/** For a channel to close: nothing of it is to be settled. */
const CLOSE_MS = 1_000;

/**
 * An exclusive classic queue that the broker names, and that goes with the connection. On the next connection there is
 * another one: the old name may still be held by a connection that the broker has not noticed to be gone.
 */
export class TemporaryQueue implements Service {
  readonly name: string;
  readonly #options: TemporaryQueueOptions;
  readonly #lifecycle: Lifecycle;
  #stop = new AbortController();
  #unlisten: () => void = () => undefined;
  /** The one that receives. */
  #channel: Channel | undefined;
  /** The same, a little earlier: its queue is bound, so that others may know of it already. */
  #bound: Channel | undefined;
  #isGivenUp = false;
  /** Until it receives on the next connection, or the broker has refused that. */
  #undecided: Deferred<void> | undefined;

  constructor(options: TemporaryQueueOptions) {
    this.name = options.name;
    this.#options = options;
    this.#lifecycle = new Lifecycle(this.name, { start: () => this.#start(), stop: () => this.#end() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  get isReceiving(): boolean {
    return this.#channel !== undefined;
  }

  /** The broker has refused it, and it is not tried again by itself. */
  get isGivenUp(): boolean {
    return this.#isGivenUp;
  }

  /**
   * Resolves when it receives, or it is known that it does not at the moment; undefined when that is so already. While
   * there is no connection nothing is known.
   */
  get decided(): Promise<void> | undefined {
    return this.#undecided?.promise;
  }

  /** For what is sent on the channel whose queue is bound. @returns false when there is none, or it closes */
  withChannel(work: (channel: Channel) => void): boolean {
    if (!this.#bound) return false;
    try {
      work(this.#bound);
      return true;
    } catch {
      // amqplib throws on a channel that is closing; its `close` comes next.
      return false;
    }
  }

  /** Resolves when it receives, or has given up. @throws what `onRefused` throws */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  /** One more try where it has given up. Resolves as `start`. @throws what `onRefused` throws */
  async tryAgain(): Promise<void> {
    const { current } = this.#options.connection;
    if (!this.#isGivenUp || !current || this.state !== 'running') return;
    this.#isGivenUp = false;
    this.#leaveOpen();
    await this.#attach(current, 0);
  }

  async #start(): Promise<void> {
    const { connection, logger } = this.#options;
    this.#stop = new AbortController();
    this.#isGivenUp = false;
    this.#unlisten = connection.listen({
      opened: (open) => this.#attachAgain(open, 0),
      lost: () => {
        this.#leaveOpen();
        if (!this.#channel) return;
        this.#channel = undefined;
        logger.warn({ queue: this.name }, 'not receiving: the connection is lost');
        this.#options.onLost?.();
      },
    });
    this.#leaveOpen();
    if (connection.current) await this.#attach(connection.current, 0);
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    this.#unlisten();
    this.#decide();
    const channel = this.#channel;
    this.#channel = undefined;
    this.#bound = undefined;
    // A broker that answers no more: the queue goes with the connection.
    const silent = () => this.#options.connection.unavailable(`no answer within ${CLOSE_MS} ms`);
    if (channel) await within(CLOSE_MS, closeChannel(channel), silent).catch(() => undefined);
  }

  #leaveOpen(): void {
    if (!this.#isGivenUp) this.#undecided ??= deferred();
  }

  #decide(): void {
    this.#undecided?.resolve();
    this.#undecided = undefined;
  }

  #attachAgain(open: OpenConnection, failures: number): void {
    this.#leaveOpen();
    this.#attach(open, failures).catch((error: unknown) => {
      this.#isGivenUp = true;
      this.#decide();
      this.#options.logger.error({ queue: this.name, error }, 'not receiving any more');
    });
  }

  async #attach(open: OpenConnection, failedBefore: number): Promise<void> {
    const { connection, logger, onRefused } = this.#options;
    const { signal } = this.#stop;
    const isWanted = () => !signal.aborted && connection.current === open && !this.#isGivenUp;
    for (let failures = failedBefore; isWanted(); failures += 1) {
      if (failures > 0) await sleep(backoffMs(failures - 1), signal);
      if (!isWanted()) return;
      try {
        await this.#receive(open);
        return;
      } catch (error) {
        const isRefused = isError(error) && replyCode(error) !== undefined;
        if (isRefused && !onRefused(error)) this.#isGivenUp = true;
        if (isRefused && (this.#isGivenUp || connection.current === open)) this.#decide();
        if (isWanted()) logger.warn({ queue: this.name, error: brokerText(error) }, 'not receiving; trying again');
      }
    }
  }

  async #receive(open: OpenConnection): Promise<void> {
    const { connection, bind, prefetch, onMessage } = this.#options;
    const channel = await openChannel(connection, open);
    let declared: string | undefined;
    const consume = async (): Promise<void> => {
      const options = { exclusive: true, durable: false, autoDelete: true, arguments: this.#options.arguments ?? {} };
      const { queue } = await channel.assertQueue('', options);
      declared = queue;
      await bind(channel, queue);
      this.#bound = channel;
      channel.once('close', () => {
        if (this.#bound === channel) this.#bound = undefined;
      });
      if (prefetch !== undefined) await channel.prefetch(prefetch);
      // null: the queue was deleted by somebody else. A closed channel is opened again.
      const take = (message: ConsumeMessage | null) =>
        message ? onMessage(message, channel) : void closeChannel(channel).catch(() => undefined);
      await channel.consume(queue, take, { exclusive: true, noAck: prefetch === undefined });
    };
    try {
      await answered(connection, open, consume());
    } catch (error) {
      closeChannel(channel).catch(() => undefined);
      const queue = declared;
      // One that had no consumer yet does not go with its last: it would stay as long as the connection, one for each try.
      if (queue !== undefined)
        await withChannel(connection, open, (other) => other.deleteQueue(queue)).catch(() => undefined);
      throw error;
    }
    if (this.#stop.signal.aborted || connection.current !== open) {
      closeChannel(channel).catch(() => undefined);
      return;
    }
    this.#channel = channel;
    this.#decide();
    channel.once('close', () => {
      if (this.#channel !== channel) return;
      this.#channel = undefined;
      this.#options.onLost?.();
      this.#attachAgain(open, 1);
    });
  }
}
