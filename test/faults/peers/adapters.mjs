// What a user of each library writes to publish with confirms and to consume with acks, and no more: reconnects are the
// library's own where it has them. `publisher` gives a function that resolves at the confirm; a handler that throws has
// its message given back to the queue. One has tables of its own: `setUp` makes them, `store` writes an entry in the
// transaction that it is told of, and its handlers run in a transaction that the library opens.
import amqpConnectionManager from 'amqp-connection-manager';
import amqplib from 'amqplib';
import {
  DatabaseSetup,
  getDisabledLogger,
  initializeMessageStorage,
  initializePollingMessageListener,
} from 'pg-transactional-outbox';
import { Connection } from 'rabbitmq-client';
import rascal from 'rascal';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Errors that are told by events: they are in the log, and harm nobody who listens. */
const log = (error) => error && console.error(String(error));

/** amqplib leaves reconnecting to its user: a loop that begins anew when the connection closes. */
async function keepConnected(url, use) {
  for (;;) {
    try {
      const connection = await amqplib.connect(url, { timeout: 3000 });
      connection.on('error', log);
      const closed = new Promise((resolve) => connection.once('close', resolve));
      await use(connection);
      await closed;
    } catch (error) {
      log(error);
    }
    await pause(1000);
  }
}

export const ADAPTERS = {
  amqplib: {
    async publisher(url) {
      let channel;
      void keepConnected(url, async (connection) => {
        channel = await connection.createConfirmChannel();
        channel.on('error', log);
        connection.once('close', () => {
          channel = undefined;
        });
      });
      return (exchange, key, body, messageId) =>
        new Promise((resolve, reject) => {
          if (!channel) reject(new Error('not connected'));
          else
            channel.publish(exchange, key, body, { persistent: true, messageId }, (error) =>
              error ? reject(error) : resolve(),
            );
        });
    },
    async consumer(url, { queue, prefetch, handle }) {
      void keepConnected(url, async (connection) => {
        const channel = await connection.createChannel();
        channel.on('error', log);
        await channel.prefetch(prefetch);
        await channel.consume(queue, (message) => {
          if (!message) return;
          handle(message.content, message.fields.redelivered).then(
            () => channel.ack(message),
            () => channel.nack(message),
          );
        });
      });
    },
  },
  'amqp-connection-manager': {
    async publisher(url) {
      const connection = amqpConnectionManager.connect([url], { heartbeatIntervalInSeconds: 2 });
      connection.on('connectFailed', ({ err }) => log(err));
      const channel = connection.createChannel({ confirm: true, publishTimeout: 10_000 });
      channel.on('error', log);
      return async (exchange, key, body, messageId) => {
        await channel.publish(exchange, key, body, { persistent: true, messageId });
      };
    },
    async consumer(url, { queue, prefetch, handle }) {
      const connection = amqpConnectionManager.connect([url], { heartbeatIntervalInSeconds: 2 });
      connection.on('connectFailed', ({ err }) => log(err));
      const channel = connection.createChannel();
      channel.on('error', log);
      const onMessage = (message) =>
        handle(message.content, message.fields.redelivered).then(
          () => channel.ack(message),
          () => channel.nack(message),
        );
      await channel.consume(queue, onMessage, { prefetch });
    },
  },
  rascal: {
    async publisher(url) {
      const publications = { entry: { exchange: 'ledger', routingKey: 'entry.plain' } };
      const broker = await rascalBroker(url, { publications });
      return async (_exchange, routingKey, body, messageId) => {
        const publication = await broker.publish('entry', body, { routingKey, options: { messageId } });
        await new Promise((resolve, reject) =>
          publication.once('success', resolve).once('error', reject).once('return', reject),
        );
      };
    },
    async consumer(url, { queue, prefetch, handle }) {
      const broker = await rascalBroker(url, { subscriptions: { entries: { queue, prefetch } } });
      const subscription = await broker.subscribe('entries');
      subscription.on('error', log).on('invalid_content', (error, _message, ackOrNack) => ackOrNack(error));
      subscription.on('message', (message, content, ackOrNack) => {
        const body = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
        handle(body, message.fields.redelivered).then(
          () => ackOrNack(),
          (error) => ackOrNack(error, { strategy: 'nack', requeue: true }),
        );
      });
    },
  },
  'rabbitmq-client': {
    async publisher(url) {
      const connection = new Connection({ url, heartbeat: 2 });
      connection.on('error', log);
      const publisher = connection.createPublisher({ confirm: true, maxAttempts: 2 });
      return (exchange, routingKey, body, messageId) =>
        publisher.send({ exchange, routingKey, messageId, durable: true }, body);
    },
    async consumer(url, { queue, prefetch, handle }) {
      const connection = new Connection({ url, heartbeat: 2 });
      connection.on('error', log);
      // It declares the queue before it consumes: only looking, since the queue is of another type than its default.
      const options = { queue, queueOptions: { passive: true }, qos: { prefetchCount: prefetch } };
      const consumer = connection.createConsumer(options, (message) => handle(message.body, message.redelivered));
      consumer.on('error', log);
    },
  },
};

const OUTBOX = { outboxOrInbox: 'outbox', table: 'outbox', nextMessagesName: 'next_outbox_messages' };
const inboxOf = (queue) => ({ outboxOrInbox: 'inbox', table: `inbox_${queue}`, nextMessagesName: `next_${queue}` });
/** Of its README's recommendations the larger batches, and a time-out that ours has as well. */
const pollingConfig = (databaseUrl, { outboxOrInbox, table, nextMessagesName }, enableMaxAttemptsProtection) => ({
  outboxOrInbox,
  dbListenerConfig: { connectionString: databaseUrl, connectionTimeoutMillis: 3000 },
  settings: {
    dbSchema: 'public',
    dbTable: table,
    enableMaxAttemptsProtection,
    enablePoisonousMessageProtection: false,
    nextMessagesBatchSize: 100,
    nextMessagesFunctionName: nextMessagesName,
    nextMessagesPollingIntervalInMs: 100,
  },
});

/** An entry as the library stores it: entries of a key are of one segment, which is worked through in order. */
const messageOf = (entry) => ({
  id: entry.id,
  aggregateType: 'ledger',
  aggregateId: entry.key ?? entry.id,
  messageType: entry.kind,
  segment: entry.key ?? entry.id,
  concurrency: 'sequential',
  payload: entry,
  createdAt: new Date().toISOString(),
});

ADAPTERS['pg-transactional-outbox'] = {
  setUp: ['outbox', 'ordered', 'pool'].map((name) => {
    const config = { ...(name === 'outbox' ? OUTBOX : inboxOf(name)), schema: 'public', listenerRole: 'postgres' };
    const sql = DatabaseSetup.dropAndCreateTable(config) + DatabaseSetup.createPollingFunction(config);
    // Names of indexes are of the kind, and there are two inboxes.
    const indexes = DatabaseSetup.setupPollingIndexes(config);
    return sql + indexes.replaceAll(/\b(in|out)box_(\w+_idx)/g, `${config.table}_$2`);
  }),
  async storage(databaseUrl) {
    const store = initializeMessageStorage(pollingConfig(databaseUrl, OUTBOX, false), getDisabledLogger());
    return (entry, client) => store(messageOf(entry), client);
  },
  async relay(url, databaseUrl) {
    const send = await ADAPTERS.amqplib.publisher(url);
    const handle = ({ id, messageType, payload }) =>
      send('ledger', `entry.${messageType}`, Buffer.from(JSON.stringify(payload)), id);
    initializePollingMessageListener(pollingConfig(databaseUrl, OUTBOX, false), { handle }, getDisabledLogger());
  },
  async consumer(url, { queue, prefetch, databaseUrl, pool, handleIn }) {
    const config = pollingConfig(databaseUrl, inboxOf(queue), true);
    const store = initializeMessageStorage(config, getDisabledLogger());
    const handle = ({ payload, startedAttempts }, client) => handleIn(payload, client, startedAttempts > 1);
    initializePollingMessageListener(config, { handle }, getDisabledLogger());
    await ADAPTERS.amqplib.consumer(url, {
      queue,
      prefetch,
      handle: async (bytes) => {
        const client = await pool.connect();
        client.on('error', () => undefined);
        let damage;
        try {
          await store(messageOf(JSON.parse(bytes.toString())), client);
        } catch (error) {
          damage = error;
          throw error;
        } finally {
          client.release(damage);
        }
      },
    });
  },
};

async function rascalBroker(url, config) {
  const vhosts = {
    '/': {
      connection: { url },
      exchanges: { ledger: { assert: false, type: 'topic' } },
      queues: { ordered: { assert: false }, pool: { assert: false } },
      ...config,
    },
  };
  const broker = await rascal.BrokerAsPromised.create(rascal.withDefaultConfig({ vhosts }));
  broker.on('error', log);
  return broker;
}
