import type { Channel } from 'amqplib';
import { isError } from '../util/thrown.ts';
import { replyCode } from './amqp-error.ts';
import { answered, closeChannel, openChannel, patiently } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';

/** Asks one thing after the other, each with a channel to throw away: a refusal closes it, and the next takes a new one. */
export class DeclareChannel {
  readonly #connection: BrokerConnection;
  readonly #open: OpenConnection;
  readonly #answered: typeof answered;
  #channel: Channel | undefined;

  /** @param isPatient whether the connection is kept when an answer does not come in time */
  constructor(connection: BrokerConnection, open: OpenConnection, isPatient = false) {
    this.#connection = connection;
    this.#open = open;
    this.#answered = isPatient ? patiently : answered;
  }

  /**
   * @returns what the broker refused it with; undefined when it did not. Throws when the connection is lost, or no answer
   *   comes in time.
   */
  async refusal(ask: (channel: Channel) => Promise<unknown>): Promise<Error | undefined> {
    this.#channel ??= await openChannel(this.#connection, this.#open, this.#answered);
    try {
      await this.#answered(this.#connection, this.#open, ask(this.#channel));
      return undefined;
    } catch (error) {
      // One that was not answered is open still; of others the broker, or the connection, has been here before us.
      this.close();
      if (isError(error) && replyCode(error) !== undefined) return error;
      throw error;
    }
  }

  close(): void {
    if (this.#channel) closeChannel(this.#channel).catch(() => undefined);
    this.#channel = undefined;
  }
}
