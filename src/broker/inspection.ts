import { randomUUID } from 'node:crypto';
import { BrokerUnavailableError } from '../errors.ts';
import type { TopologySpec } from '../message/topology.ts';
import { deferred } from '../util/deferred.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import { answered, withChannel } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';
import { BrokerTopology, type TopologyState } from './topology.ts';

export interface QueueState {
  readonly ready: number;
  readonly consumers: number;
}

/** Looks at a broker and changes nothing on it. */
export class BrokerInspection {
  readonly #connection: BrokerConnection;

  /** @param connection open */
  constructor(connection: BrokerConnection) {
    this.#connection = connection;
  }

  /**
   * @returns undefined when there is no such queue, or we may not look at it
   * @throws BrokerUnavailableError when the connection is lost
   */
  queue(name: string): Promise<QueueState | undefined> {
    return this.#asked(async (open) => {
      try {
        const state = await withChannel(this.#connection, open, (channel) => channel.checkQueue(name));
        return { ready: state.messageCount, consumers: state.consumerCount };
      } catch (error) {
        const code = replyCode(error);
        if (code === REPLY.notFound || code === REPLY.accessRefused) return undefined;
        throw error;
      }
    });
  }

  /**
   * Sends a message that no queue is for, which a broker gives back at once: of its alarms it tells only who publishes. Its
   * connection is good for nothing else when there is one, since the broker reads no more from it.
   * @returns its words when it takes no publishes; undefined when it does, lets us publish nothing, or says nothing in time
   * @throws BrokerUnavailableError when the connection is lost
   */
  alarm(timeoutMs: number): Promise<string | undefined> {
    return this.#asked((open) => this.#alarm(open, timeoutMs));
  }

  /** @throws BrokerUnavailableError when the connection is lost */
  topology(spec: TopologySpec): Promise<TopologyState> {
    return this.#asked(() => new BrokerTopology({ connection: this.#connection }).inspect(spec));
  }

  async #alarm(open: OpenConnection, timeoutMs: number): Promise<string | undefined> {
    const told = deferred<string | undefined>();
    const forget = this.#connection.listen({ blocked: (reason) => told.resolve(reason) });
    const silence = setTimeout(() => told.resolve(undefined), timeoutMs);
    try {
      const channel = await answered(this.#connection, open, open.model.createConfirmChannel());
      channel.on('error', () => told.resolve(undefined));
      channel.on('close', () => told.resolve(undefined));
      channel.publish('', `svc-comm.doctor.${randomUUID()}`, Buffer.alloc(0), { mandatory: true }, () =>
        told.resolve(undefined),
      );
      return await told.promise;
    } finally {
      clearTimeout(silence);
      forget();
    }
  }

  /** A connection that ends under a question fails it with words of amqplib's own, which tell nobody what to do. */
  async #asked<T>(ask: (open: OpenConnection) => Promise<T>): Promise<T> {
    const connection = this.#connection;
    const open = connection.current;
    if (!open) throw connection.unavailable('the connection is lost');
    try {
      return await ask(open);
    } catch (error) {
      if (connection.current === open || error instanceof BrokerUnavailableError) throw error;
      throw connection.unavailable(brokerText(error), error);
    }
  }
}
