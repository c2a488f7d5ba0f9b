import type { Service } from '../lifecycle/service.ts';
import type { Message } from '../message/message.ts';
import type { Publisher, PublishOptions } from '../message/publisher.ts';
import { unlessAborted } from '../util/unless-aborted.ts';
import type { BrokerConnection } from './connection.ts';
import { within } from './within.ts';

export interface OnDemandPublisherOptions {
  readonly publisher: Publisher;
  /** Publisher and connection together. */
  readonly service: Service;
  readonly connection: BrokerConnection;
  /** For those who give none, in ms. */
  readonly timeoutMs: number;
}

/**
 * A publisher that is started by its first message, within that message's time: with a broker that is down the caller
 * hears so in time, while the start goes on for those that come later.
 */
export class OnDemandPublisher implements Publisher {
  readonly #options: OnDemandPublisherOptions;

  constructor(options: OnDemandPublisherOptions) {
    this.#options = options;
  }

  /** @throws BrokerUnavailableError, BrokerAccessRefusedError, and what the publisher throws */
  async publish(message: Message, options: PublishOptions = {}): Promise<void> {
    const { publisher, timeoutMs: usualMs } = this.#options;
    const { timeoutMs = usualMs, signal } = options;
    const beganMs = performance.now();
    await this.ready(timeoutMs, signal);
    const leftMs = Math.max(1, Math.ceil(timeoutMs - (performance.now() - beganMs)));
    await publisher.publish(message, { ...options, timeoutMs: leftMs });
  }

  /** Resolves when it is started: for those whose message depends on it. @throws as `publish` */
  async ready(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const { service, connection } = this.#options;
    if (service.state === 'running') return;
    const started = within(timeoutMs, service.start(), () => connection.unavailable(`none within ${timeoutMs} ms`));
    await (signal ? unlessAborted(started, signal) : started);
  }
}
