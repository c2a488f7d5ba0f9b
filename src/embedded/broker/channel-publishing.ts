import type { Channel } from './channel.ts';
import type { ChannelWriter } from './channel-writer.ts';
import type { PublishingHost } from './publishing.ts';

/** Ties the publishing half to its channel. */
export function publishingHost(channel: Channel, writer: ChannelWriter): PublishingHost {
  const { vhost, replies } = channel.link;
  return {
    user: channel.link.user,
    get replyName() {
      return channel.replyConsumer?.name;
    },
    findExchange: (name) => vhost.exchange(name),
    route(exchange, message) {
      // As in RabbitMQ no queue has it: a mandatory reply comes back although it was delivered.
      if (exchange.name === '' && replies.deliver(message)) return 'unroutable';
      return vhost.publish(exchange, message);
    },
    returned: (message) => writer.returned(message),
    confirmed(kind, deliveryTag, multiple) {
      if (kind === 'basic.ack') writer.method(kind, { deliveryTag, multiple });
      else writer.method(kind, { deliveryTag, multiple, requeue: true });
    },
    flushLater: () => channel.link.flushLater(channel),
  };
}
