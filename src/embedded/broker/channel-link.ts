import type { Channel } from './channel.ts';
import type { DirectReplies } from './direct-replies.ts';
import type { Output } from './output.ts';
import type { VirtualHost } from './virtual-host.ts';

/** The connection, as its channels need it. */
export interface ChannelLink {
  readonly output: Output;
  readonly vhost: VirtualHost;
  readonly replies: DirectReplies;
  readonly user: string;
  /** Whether the client understands that its consumer is cancelled (`consumer_cancel_notify`). */
  readonly cancelsConsumers: boolean;
  /** Calls the channel's `flush` once what was read together has been worked off. */
  flushLater(channel: Channel): void;
  /** The connection published: it is one that memory pressure may slow. */
  published(): void;
  closed(channel: Channel): void;
}
