import { randomUUID } from 'node:crypto';
import type { TopologySpec } from '../message/topology.ts';
import { deferred } from '../util/deferred.ts';
import { REPLY, replyCode } from './amqp-error.ts';
import { withChannel } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
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

  /** @returns undefined when there is no such queue, or we may not look at it */
  async queue(name: string): Promise<QueueState | undefined> {
    const open = this.#connection.current;
    if (!open) throw this.#connection.unavailable('the connection is lost');
    try {
      const state = await withChannel(this.#connection, open, (channel) => channel.checkQueue(name));
      return { ready: state.messageCount, consumers: state.consumerCount };
    } catch (error) {
      const code = replyCode(error);
      if (code === REPLY.notFound || code === REPLY.accessRefused) return undefined;
      throw error;
    }
  }

  /**
   * Sends a message that no queue is for, which a broker gives back at once: of its alarms it tells only who publishes. Its
   * connection is good for nothing else when there is one, since the broker reads no more from it.
   * @returns its words when it takes no publishes; undefined when it does, lets us publish nothing, or says nothing in time
   */
  async alarm(timeoutMs: number): Promise<string | undefined> {
    const open = this.#connection.current;
    if (!open) throw this.#connection.unavailable('the connection is lost');
    const told = deferred<string | undefined>();
    const forget = this.#connection.listen({ blocked: (reason) => told.resolve(reason) });
    const silence = setTimeout(() => told.resolve(undefined), timeoutMs);
    try {
      const channel = await open.model.createConfirmChannel();
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

  topology(spec: TopologySpec): Promise<TopologyState> {
    return new BrokerTopology({ connection: this.#connection }).inspect(spec);
  }
}
