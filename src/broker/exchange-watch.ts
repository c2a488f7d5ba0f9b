import { ExchangeUnavailableError, InvalidArgumentError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { WatchOptions } from '../message/watched.ts';
import { assertName } from '../util/topic-pattern.ts';
import { brokerText } from './amqp-error.ts';
import type { BrokerConnection } from './connection.ts';
import { TemporaryQueue } from './temporary-queue.ts';

/** So many wait on the broker for a watcher that is slow; of more the oldest go. */
const MAX_WAITING = 10_000;
const PREFETCH = 500;

/**
 * Looks at what passes an exchange by a temporary queue of its own: every queue gets its own copy, so that consumers miss
 * nothing. What passes while the connection is lost is not seen.
 * @throws ExchangeUnavailableError (SVC_COMM_EXCHANGE_UNAVAILABLE) from `start` when there is no such exchange
 */
export function exchangeWatch(
  connection: BrokerConnection,
  { exchange, pattern = '#', onMessage }: WatchOptions,
  logger: Logger,
): TemporaryQueue {
  assertName('exchange', exchange);
  assertName('pattern', pattern);
  if (exchange === '') throw new InvalidArgumentError('exchange', 'the name of an exchange', 'the default exchange');
  return new TemporaryQueue({
    connection,
    name: `watch of ${exchange}`,
    bind: async (channel, queue) => {
      await channel.checkExchange(exchange);
      await channel.bindQueue(queue, exchange, pattern);
    },
    arguments: { 'x-max-length': MAX_WAITING },
    prefetch: PREFETCH,
    onMessage: (message, channel) => {
      const { fields, content, properties } = message;
      try {
        onMessage({ exchange: fields.exchange, routingKey: fields.routingKey, body: content, properties });
        channel.ack(message);
      } catch (error) {
        logger.error({ exchange, error }, 'a message could not be shown');
      }
    },
    onRefused: (error) => {
      throw new ExchangeUnavailableError(exchange, brokerText(error), { cause: error });
    },
    logger,
  });
}
