import type { Logger } from '../../lifecycle/logger.ts';
import { Channel } from './channel.ts';
import type { ChannelLink } from './channel-link.ts';
import type { DirectReplies } from './direct-replies.ts';
import { FRAME } from './frame.ts';
import type { Output } from './output.ts';
import { ProtocolError } from './protocol-error.ts';
import { strayFrame } from './stray-frame.ts';
import type { Unacked } from './unacked-messages.ts';
import type { VirtualHost } from './virtual-host.ts';

export interface ChannelSetOptions {
  readonly output: Output;
  readonly vhost: VirtualHost;
  readonly replies: DirectReplies;
  readonly logger: Logger;
  readonly user: string;
  readonly cancelsConsumers: boolean;
  /** Channels at the same time; 0 no limit. */
  readonly channelMax: number;
}

/** The channels of an open connection. It is also what owns the connection's exclusive queues. */
export class ChannelSet implements ChannelLink {
  readonly output: Output;
  readonly vhost: VirtualHost;
  readonly replies: DirectReplies;
  readonly user: string;
  readonly cancelsConsumers: boolean;
  readonly #logger: Logger;
  readonly #channelMax: number;
  readonly #channels = new Map<number, Channel>();
  readonly #unflushed = new Set<Channel>();
  #hasPublished = false;

  constructor(options: ChannelSetOptions) {
    this.output = options.output;
    this.vhost = options.vhost;
    this.replies = options.replies;
    this.user = options.user;
    this.cancelsConsumers = options.cancelsConsumers;
    this.#logger = options.logger;
    this.#channelMax = options.channelMax;
  }

  /** Whether anything was ever published here. */
  get hasPublished(): boolean {
    return this.#hasPublished;
  }

  /** @throws ProtocolError for what ends the connection */
  receive(type: number, number: number, payload: Buffer): void {
    if (type < FRAME.method || type > FRAME.body) throw strayFrame(type, payload);
    const channel = this.#channels.get(number) ?? this.#add(number);
    try {
      channel.receive(type, payload);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (error.scope === 'connection' || channel.state !== 'open') throw error.withMethod(channel.methodId);
      this.#logger.debug({ channel: number, reply: error.replyText }, 'embedded broker: channel refused');
      channel.fail(error);
    }
  }

  #add(number: number): Channel {
    const count = this.#channels.size;
    if (this.#channelMax !== 0 && count >= this.#channelMax) {
      const limit = `the negotiated channel_max (${this.#channelMax})`;
      throw new ProtocolError('NOT_ALLOWED', `number of channels opened (${count}) has reached ${limit}`);
    }
    const channel = new Channel(number, this);
    this.#channels.set(number, channel);
    return channel;
  }

  /** Sends the confirms that were gathered. */
  flush(): void {
    for (const channel of this.#unflushed) channel.flush();
    this.#unflushed.clear();
  }

  /** The socket takes more again. */
  relieve(): void {
    for (const channel of this.#channels.values()) channel.relieveAll();
  }

  unsettled(): readonly Unacked[] {
    return [...this.#channels.values()].flatMap((channel) => channel.unsettled());
  }

  /**
   * Gives back all that the connection had: first its messages, then what was exclusively its own. No channel gets
   * what another gives back.
   */
  release(): void {
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    for (const channel of channels) channel.cut();
    for (const channel of channels) channel.giveUp();
    const own = [...this.vhost.queues.values()].filter(({ definition }) => definition.owner === this);
    for (const queue of own) this.vhost.deleteQueue(queue);
  }

  flushLater(channel: Channel): void {
    this.#unflushed.add(channel);
  }

  published(): void {
    this.#hasPublished = true;
  }

  closed(channel: Channel): void {
    this.#channels.delete(channel.number);
  }
}
