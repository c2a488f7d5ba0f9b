import { UnroutableError } from '../errors.ts';
import type { Message } from '../message/message.ts';
import type { Publisher, PublishOptions } from '../message/publisher.ts';

/** Says of a message that reached no queue what may have been meant. */
export class RouteHints implements Publisher {
  readonly #publisher: Publisher;
  readonly #hint: (exchange: string) => string | undefined;

  /** @param hint what is known that is like it; undefined when nothing is */
  constructor(publisher: Publisher, hint: (exchange: string) => string | undefined) {
    this.#publisher = publisher;
    this.#hint = hint;
  }

  async publish(message: Message, options?: PublishOptions): Promise<void> {
    try {
      await this.#publisher.publish(message, options);
    } catch (error) {
      if (!(error instanceof UnroutableError)) throw error;
      const hint = this.#hint(error.exchange);
      throw hint === undefined ? error : new UnroutableError(error.exchange, error.routingKey, hint);
    }
  }
}
