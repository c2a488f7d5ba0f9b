import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { SvcCommService } from '../../src/assemble.ts';
import {
  BrokerUnavailableError,
  InvalidArgumentError,
  TransactionRequiredError,
  UnroutableError,
  UnserialisablePayloadError,
} from '../../src/errors.ts';
import type { MessageContext } from '../../src/message/handler.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { deferred } from '../../src/util/deferred.ts';
import { until } from '../support/consumer-kit.ts';
import { late } from '../support/late.ts';
import { freePort } from '../support/servers/free-port.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: ServiceKit;
let orders: SvcCommService;

beforeAll(async () => {
  kit = await ServiceKit.open('commands');
  orders = kit.service('orders');
  await orders.migrate();
  // The first command connects, which may take longer than a short deadline.
  await boundQueue(orders.settings.appId);
  await orders.sendCommand(orders.settings.appId);
});
afterAll(() => kit.close());
afterEach(() => vi.restoreAllMocks());

interface Taken {
  readonly args: unknown;
  readonly context: MessageContext;
}

/** A service whose commands are collected; started by the test. */
function receiver(suffix: string, settings = {}) {
  const service = kit.service(suffix, settings);
  const name = service.settings.appId;
  const taken: Taken[] = [];
  service.messageRouter.consumer(name)(
    commandConsumer(async (args, context) => {
      taken.push({ args, context });
    }),
  );
  return { service, name, taken, consumer: service.consumer() };
}

/** A queue on the service's exchange, with nobody who consumes it. */
async function boundQueue(name: string): Promise<void> {
  await kit.channel.assertExchange(name, 'topic', { durable: true });
  await kit.channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  await kit.channel.bindQueue(name, name, '#');
}

test('a command reaches its handler: the arguments without meta, the deadline as a date, the sender named', async () => {
  const { consumer, name, taken } = receiver('sms');
  await consumer.start();
  const args = { phone: '998990000000', text: 'Hello world!' };
  const before = Date.now();
  const { commandId } = await orders.sendCommand(name, args, { commandName: 'send', timeout: 30 });
  await until(() => taken.length === 1);
  expect(args).toEqual({ phone: '998990000000', text: 'Hello world!' });
  const { context } = taken[0] ?? expect.fail();
  expect(taken[0]?.args).toEqual(args);
  expect(context.messageId).toBe(commandId);
  expect(context.routingKey).toBe('send');
  expect(context.properties.appId).toBe(orders.settings.appId);
  const deadlineMs = context.deadline?.getTime() ?? 0;
  expect(deadlineMs - before).toBeGreaterThan(29_000);
  expect(deadlineMs - before).toBeLessThan(35_000);
  await until(() => consumer.stats.handled === 1);
});

test('a command without name and without arguments is one too, and without a deadline it has none', async () => {
  const { consumer, name, taken } = receiver('plain');
  await consumer.start();
  await orders.sendCommand(name);
  await until(() => taken.length === 1);
  expect(taken[0]).toMatchObject({ args: {}, context: { routingKey: '', deadline: undefined } });
});

test('a command with a TTL of 1 s to a stopped consumer is not executed when it starts 2 s later, and is counted; one with time left behind it is', async () => {
  const { consumer, name, taken } = receiver('stopped');
  await boundQueue(name);
  // The long one in front: a message expires on the broker only at the head of its queue.
  await orders.sendCommand(name, { n: 600 }, { timeout: 600 });
  await orders.sendCommand(name, { n: 1 }, { timeout: 1 });
  await orders.sendCommand(name, { n: 60 }, { expiredTime: new Date(Date.now() + 60_000) });
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  await consumer.start();
  await until(() => consumer.stats.received === 3 && consumer.stats.inFlight === 0);
  // In any order: handlers run side by side.
  expect(new Set(taken.map(({ args }) => args))).toEqual(new Set([{ n: 600 }, { n: 60 }]));
  expect(consumer.stats).toMatchObject({ handled: 2, expired: 1 });
  // Dropped before a transaction was opened for it.
  expect(await kit.count('svc_comm_inbox', `queue = '${name}'`)).toBe(2);
});

test('the signal aborts at the deadline, and what the handler did stays when it returns', async () => {
  const service = kit.service('slow');
  const { appId } = service.settings;
  const aborted = deferred<{ reason: unknown; leftMs: number }>();
  service.messageRouter.consumer(appId)(
    commandConsumer(async (_args, { signal, deadline }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      aborted.resolve({ reason: signal.reason, leftMs: Number(deadline) - Date.now() });
    }),
  );
  const consumer = service.consumer();
  await consumer.start();
  await orders.sendCommand(appId, {}, { timeout: 5 });
  const { reason, leftMs } = await aborted.promise;
  expect(reason).toMatchObject({ code: 'SVC_COMM_DEADLINE_EXCEEDED' });
  // The deadline is by the database's clock, which is known to some milliseconds.
  expect(leftMs).toBeLessThan(1_000);
  await until(() => consumer.stats.handled === 1);
});

test('with a transaction a command is sent if and only if that commits, with the time that is left when it is sent', async () => {
  const { consumer, name, taken } = receiver('mail');
  await boundQueue(name);
  const undone = orders.transaction(async () => {
    await orders.sendCommand(name, { n: 0 }, { transaction: 'ambient' });
    throw new Error('rolled back');
  });
  await expect(undone).rejects.toThrow('rolled back');
  await orders.transaction(async (trx) => {
    await orders.sendCommand(name, { n: 1 }, { transaction: trx, timeout: 20 });
  });
  await orders.sendCommand(name, { n: 2 }, { transaction: 'own' });
  expect(await kit.count('svc_comm_outbox', `exchange = '${name}'`)).toBe(2);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const relay = orders.relay();
  await relay.start();
  await until(async () => (await kit.channel.checkQueue(name)).messageCount === 2);
  await relay.stop();
  const first = await kit.channel.get(name, { noAck: false });
  const expiration = first ? Number(first.properties.expiration) : 0;
  // 20 s less the second that it waited, and the net of 60 s.
  expect(expiration).toBeGreaterThan(60_000);
  expect(expiration).toBeLessThan(79_000);
  if (first) kit.channel.nack(first);
  await consumer.start();
  await until(() => taken.length === 2);
  expect(new Set(taken.map(({ args }) => args))).toEqual(new Set([{ n: 1 }, { n: 2 }]));
});

test('one whose deadline comes while it waits in the outbox is not sent, and is counted', async () => {
  const { name } = receiver('late');
  await boundQueue(name);
  await orders.sendCommand(name, {}, { transaction: 'own', timeout: '200ms' });
  await new Promise((resolve) => setTimeout(resolve, 400));
  const relay = orders.relay();
  await relay.start();
  await until(() => relay.stats.expired === 1);
  await relay.stop();
  expect((await kit.channel.checkQueue(name)).messageCount).toBe(0);
});

test('a command in the outbox that reaches no queue stays, and goes when there is one', async () => {
  const name = kit.exchangeName('unbound');
  await orders.sendCommand(name, { n: 1 }, { transaction: 'own' });
  const relay = orders.relay();
  await relay.start();
  await until(() => relay.stats.unroutable >= 1);
  expect(await kit.count('svc_comm_outbox', `exchange = '${name}'`)).toBe(1);
  await boundQueue(name);
  await until(async () => (await kit.count('svc_comm_outbox', `exchange = '${name}'`)) === 0, 15_000);
  await relay.stop();
  expect((await kit.channel.checkQueue(name)).messageCount).toBe(1);
});

test('inside a transaction and without the option it is sent at once, which is warned about once for each route', async () => {
  const { name } = receiver('warned');
  await boundQueue(name);
  const warned = () => kit.log.count('a command is sent at once inside a transaction');
  const undone = orders.transaction(async () => {
    await orders.sendCommand(name, {}, { commandName: 'a' });
    await orders.sendCommand(name, {}, { commandName: 'a' });
    expect(warned()).toBe(1);
    await orders.sendCommand(name, {}, { commandName: 'b' });
    throw new Error('rolled back');
  });
  await expect(undone).rejects.toThrow('rolled back');
  expect(warned()).toBe(2);
  expect((await kit.channel.checkQueue(name)).messageCount).toBe(3);
});

test('what goes on behind its transaction sends at once as any other code', async () => {
  const { consumer, name, taken } = receiver('behind');
  await consumer.start();
  const ended = deferred();
  let sent: Promise<unknown> | undefined;
  await orders.transaction(async () => {
    sent = ended.promise.then(() => orders.sendCommand(name, { n: 1 }));
  });
  ended.resolve();
  await sent;
  await until(() => taken.length === 1);
});

test('what is wrong with a command is said before anything is sent', async () => {
  const name = kit.exchangeName('refused');
  const future = new Date(Date.now() + 1000);
  const wrong = (args: object, options = {}) => expect(orders.sendCommand(name, args, options)).rejects;
  await wrong({ meta: { mine: 1 } }).toThrow(/arguments.meta: expected no key "meta"/);
  await wrong({}, { timeout: 1, expiredTime: future }).toThrow(/either timeout or expiredTime, got both/);
  // The database's clock is known to some milliseconds.
  await wrong({}, { expiredTime: new Date(Date.now() - 1000) }).toThrow(/a deadline in the future/);
  await wrong({}, { timeout: 0 }).toBeInstanceOf(InvalidArgumentError);
  await wrong({}, { timeout: -1 }).toBeInstanceOf(InvalidArgumentError);
  await wrong({}, { expiredTime: new Date(Number.NaN) }).toThrow(/an invalid Date/);
  await wrong([]).toThrow(/arguments: expected an object, got an array/);
  await wrong({ big: 1n }).toBeInstanceOf(UnserialisablePayloadError);
  await wrong({}, { transaction: 'ambient' }).toBeInstanceOf(TransactionRequiredError);
  await expect(orders.sendCommand('', {})).rejects.toThrow(/service "" is empty/);
  await expect(orders.sendCommand('x'.repeat(256), {})).rejects.toThrow(/the limit is 255/);
});

test('an unknown service is told at once, with what the settings know that is like it', async () => {
  const known = kit.exchangeName('warehouse');
  const sender = kit.service('lost', { binds: [[known, 'stock.*']] });
  const mistyped = kit.exchangeName('warehose');
  const failure = await sender.sendCommand(mistyped, {}, { commandName: 'pack' }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(UnroutableError);
  expect(failure).toMatchObject({ exchange: mistyped, routingKey: 'pack' });
  expect(String(failure)).toContain(`the nearest that the settings know is exchange "${known}", bound with "stock.*"`);
  const far = kit.exchangeName('zzzzzzzzzzzzzzzzzzzzzzz');
  await expect(sender.sendCommand(far)).rejects.toThrow(/no queue is bound for it; check the names/);
});

test('with a broker that is down it fails within its deadline, and goes through when the broker is back', async () => {
  const proxy = await TcpProxy.to(testBrokerUrl());
  const url = proxy.url(testBrokerUrl());
  const sender = kit.service('cut', { brokerUrl: url });
  const { name } = receiver('cut.target');
  await boundQueue(name);
  proxy.refuse();
  const { value: failure, lateMs } = await late(700, () =>
    sender.sendCommand(name, {}, { timeout: '700ms' }).catch((error: unknown) => error),
  );
  expect(failure).toBeInstanceOf(BrokerUnavailableError);
  expect(lateMs).toBeLessThan(1_000);
  proxy.heal();
  await sender.sendCommand(name, {}, { timeout: 20 });
  expect((await kit.channel.checkQueue(name)).messageCount).toBe(1);
  await sender.close();
  await proxy.close();
});

test('nobody listens: a port without a broker is a BrokerUnavailableError too, and close() ends the waiting', async () => {
  const sender = kit.service('nobody', { brokerUrl: `amqp://guest:guest@127.0.0.1:${await freePort()}` });
  await expect(sender.sendCommand('any', {}, { timeout: '300ms' })).rejects.toBeInstanceOf(BrokerUnavailableError);
  await sender.close();
});

test('a command that the Python peer published, byte for byte as recorded, is read; its deadline is long over', async () => {
  const { consumer, name, taken } = receiver('peer');
  await consumer.start();
  const recorded = JSON.parse(readFileSync(new URL('../wire/recorded/command.json', import.meta.url), 'utf8'));
  const properties = { contentType: 'text/json', deliveryMode: 2, appId: 'py-shop' };
  const publish = (body: string) => kit.channel.publish(name, recorded.routing_key, Buffer.from(body), properties);
  publish(recorded.body);
  await until(() => consumer.stats.expired === 1);
  publish(recorded.body.replace('2026-11-22T', '2226-11-22T'));
  await until(() => taken.length === 1);
  expect(taken[0]?.args).toEqual({ phoneNumber: '998990000000', text: 'Hello' });
});

test.each([
  ['without a fraction', (at: Date) => at.toISOString().replace(/\.\d+Z$/, 'Z')],
  ['with microseconds', (at: Date) => at.toISOString().replace('Z', '999Z')],
  ['with an offset', (at: Date) => new Date(at.getTime() + 5 * 3_600_000).toISOString().replace(/\.\d+Z$/, '+05:00')],
])('a deadline %s is held, before it and after it', async (what, write) => {
  const { consumer, name, taken } = receiver(`times.${what.replaceAll(' ', '-')}`);
  await consumer.start();
  const send = (n: number, at: number) => {
    const body = { n, meta: { expiredTime: write(new Date(at)) } };
    kit.channel.publish(name, 'x', Buffer.from(JSON.stringify(body)), { messageId: `${name}-${n}` });
  };
  send(1, Date.now() - 2_000);
  send(2, Date.now() + 30_000);
  await until(() => consumer.stats.received === 2 && consumer.stats.inFlight === 0);
  expect(taken.map(({ args }) => args)).toEqual([{ n: 2 }]);
  expect(consumer.stats.expired).toBe(1);
});

test('a deadline that cannot be read puts the message into the dead letters, unread', async () => {
  const { consumer, name, taken } = receiver('unreadable');
  await consumer.start();
  const body = { meta: { expiredTime: 'tomorrow' } };
  kit.channel.publish(name, 'x', Buffer.from(JSON.stringify(body)), { messageId: `${name}-1` });
  await until(() => consumer.stats.deadLettered.malformed === 1);
  expect(taken).toEqual([]);
});

test.each([
  ['ahead', 300_000],
  ['behind', -300_000],
])(
  'deadlines go by the database: with this machine 5 minutes %s nothing is dropped or run wrongly',
  async (what, offsetMs) => {
    const { consumer, name, taken } = receiver(`skew.${what}`);
    const realNow = Date.now.bind(Date);
    const sender = kit.service(`skew.sender.${what}`);
    // A busy machine may take longer to connect than a send waits to know the time.
    await sender.transaction(async () => undefined);
    vi.spyOn(Date, 'now').mockImplementation(() => realNow() + offsetMs);
    await consumer.start();
    const send = (n: number, at: number) => {
      const body = { n, meta: { expiredTime: new Date(at).toISOString() } };
      kit.channel.publish(name, 'x', Buffer.from(JSON.stringify(body)), { messageId: `${name}-${n}` });
    };
    send(1, realNow() - 2_000);
    send(2, realNow() + 30_000);
    await sender.sendCommand(name, { n: 3 }, { timeout: 30 });
    await until(() => consumer.stats.received === 3 && consumer.stats.inFlight === 0);
    // Of two senders, in either order.
    const numbers = taken.map(({ args }) => (args as { n: number }).n);
    expect(numbers.toSorted()).toEqual([2, 3]);
    const leftMs = (taken[numbers.indexOf(3)]?.context.deadline?.getTime() ?? 0) - realNow();
    expect(leftMs).toBeGreaterThan(20_000);
    expect(leftMs).toBeLessThan(31_000);
  },
);

test('deadline.skewTolerance runs late rather than dropping early', async () => {
  const { consumer, name, taken } = receiver('tolerant', { deadline: { skewTolerance: '10s' } });
  await consumer.start();
  const body = { meta: { expiredTime: new Date(Date.now() - 2_000).toISOString() } };
  kit.channel.publish(name, 'x', Buffer.from(JSON.stringify(body)), { messageId: `${name}-1` });
  await until(() => taken.length === 1);
});

test.each([
  { what: 'in a transaction that several share', group: 8 },
  { what: 'for a connection to the database', group: 1 },
])('a command that waits $what past its deadline is not executed', async ({ group }) => {
  const service = kit.service(`turn-${group}`, { concurrency: 8, pool: { max: 1 } });
  const name = service.settings.appId;
  const begun: string[] = [];
  const isIn = deferred();
  const goOn = deferred();
  service.messageRouter.consumer(name)(
    commandConsumer(
      async ({ id }: { id: string }) => {
        begun.push(id);
        if (id !== 'first') return;
        isIn.resolve();
        await goOn.promise;
      },
      { group },
    ),
  );
  const consumer = service.consumer();
  await consumer.start();
  await orders.sendCommand(name, { id: 'first' });
  await isIn.promise;
  await orders.sendCommand(name, { id: 'without' });
  await orders.sendCommand(name, { id: 'expired' }, { timeout: 5 });
  await until(() => consumer.stats.inFlight === 3);
  await new Promise((resolve) => setTimeout(resolve, 5_300));
  goOn.resolve();
  await until(() => consumer.stats.inFlight === 0);
  expect(begun).toEqual(['first', 'without']);
  expect(consumer.stats).toMatchObject({ handled: 2, expired: 1 });
});
