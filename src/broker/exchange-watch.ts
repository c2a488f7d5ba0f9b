import type { ConsumeMessage } from 'amqplib';
import { ExchangeUnavailableError, InvalidArgumentError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { WatchOptions } from '../message/watched.ts';
import { assertObject, kindOf } from '../util/assert-object.ts';
import { assertName } from '../util/topic-pattern.ts';
import { brokerText } from './amqp-error.ts';
import type { BrokerConnection } from './connection.ts';
import { TemporaryQueue } from './temporary-queue.ts';

/** So many wait on the broker for a watcher that is slow; of more the oldest go. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** AMQP counts messages, and each may have 16 MiB. */
const PREFETCH = 20;

/**
 * Looks at what passes an exchange by a temporary queue of its own: every queue gets its own copy, so that consumers miss
 * nothing. What passes while the connection is lost is not seen.
 * @throws ExchangeUnavailableError (SVC_COMM_EXCHANGE_UNAVAILABLE) from `start` when there is no such exchange
 */
export function exchangeWatch(connection: BrokerConnection, options: WatchOptions, logger: Logger): TemporaryQueue {
  assertObject('options', options, 'an object with exchange and onMessage');
  const { exchange, pattern = '#', onMessage } = options;
  assertName('exchange', exchange);
  assertName('pattern', pattern);
  if (exchange === '') throw new InvalidArgumentError('exchange', 'the name of an exchange', 'the default exchange');
  if (typeof onMessage !== 'function') throw new InvalidArgumentError('onMessage', 'a function', kindOf(onMessage));
  const show = async ({ fields, content, properties }: ConsumeMessage): Promise<void> => {
    try {
      await onMessage({ exchange: fields.exchange, routingKey: fields.routingKey, body: content, properties });
    } catch (error) {
      logger.error({ exchange, error }, 'a message could not be shown');
    }
  };
  return new TemporaryQueue({
    connection,
    name: `watch of ${exchange}`,
    bind: async (channel, queue) => {
      await channel.checkExchange(exchange);
      await channel.bindQueue(queue, exchange, pattern);
    },
    arguments: { 'x-max-length': MAX_WAITING, 'x-max-length-bytes': MAX_WAITING_BYTES },
    prefetch: PREFETCH,
    onMessage: async (message, channel) => {
      await show(message);
      try {
        channel.ack(message);
      } catch {
        // The channel was closed meanwhile, and the queue is gone with it.
      }
    },
    onRefused: (error) => {
      throw new ExchangeUnavailableError(exchange, brokerText(error), { cause: error });
    },
    logger,
  });
}
