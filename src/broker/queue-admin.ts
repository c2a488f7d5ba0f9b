import type { QueueStatus } from '../message/queue-status.ts';
import { REPLY, replyCode } from './amqp-error.ts';
import { withChannel } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';
import { DeclareChannel } from './declare-channel.ts';

/** Counts queues and deletes what somebody has made, over a connection that the caller starts and stops. */
export class QueueAdmin {
  readonly #connection: BrokerConnection;

  constructor(connection: BrokerConnection) {
    this.#connection = connection;
  }

  /**
   * By a passive declare (AMQP 0-9-1 section 1.7.2.1), which takes nothing from the queue.
   * @returns undefined when there is no such queue
   * @throws BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE)
   */
  async status(queue: string): Promise<QueueStatus | undefined> {
    try {
      const found = await withChannel(this.#connection, this.#open(), (channel) => channel.checkQueue(queue));
      return { ready: found.messageCount, consumers: found.consumerCount };
    } catch (error) {
      if (replyCode(error) === REPLY.notFound) return undefined;
      throw error;
    }
  }

  /**
   * Deletes queues with what is in them, then exchanges; what does not exist is passed over.
   * @throws BrokerUnavailableError (SVC_COMM_BROKER_UNAVAILABLE), or what the broker refuses it with
   */
  async remove(what: { readonly queues: readonly string[]; readonly exchanges: readonly string[] }): Promise<void> {
    const channel = new DeclareChannel(this.#connection, this.#open());
    try {
      for (const name of what.queues) check(await channel.refusal((amqp) => amqp.deleteQueue(name)));
      for (const name of what.exchanges) check(await channel.refusal((amqp) => amqp.deleteExchange(name)));
    } finally {
      channel.close();
    }
  }

  #open(): OpenConnection {
    const open = this.#connection.current;
    if (!open) throw this.#connection.unavailable('the connection is lost, or not started');
    return open;
  }
}

function check(refusal: Error | undefined): void {
  if (refusal && replyCode(refusal) !== REPLY.notFound) throw refusal;
}
