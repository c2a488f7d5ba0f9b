import type { TopologySpec } from '../message/topology.ts';
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

  topology(spec: TopologySpec): Promise<TopologyState> {
    return new BrokerTopology({ connection: this.#connection }).inspect(spec);
  }
}
