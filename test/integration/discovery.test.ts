import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { SERVICES_EXCHANGE, TOPIC } from '../../src/discovery/topics.ts';
import { callable, command, event } from '../../src/message/contract.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { MessageRouter } from '../../src/router/router.ts';
import type { Settings } from '../../src/settings/define.ts';
import { amqpProxy } from '../faults/proxy/amqp-session.ts';
import { AmqpLab } from '../support/amqp-lab.ts';
import { LogLines } from '../support/broker-kit.ts';
import { eventually } from '../support/eventually.ts';
import { testBrokerUrl, uniqueName } from '../support/servers.ts';
import { stressService } from '../support/start-stop-stress.ts';
import { blockedFrame, TcpProxy } from '../support/tcp-proxy.ts';

let name: string;
let lab: AmqpLab;
let log: LogLines;
const services: SvcCommService[] = [];

beforeEach(() => {
  name = uniqueName('discovery');
  lab = new AmqpLab(testBrokerUrl());
  log = new LogLines();
});

afterEach(async () => {
  await Promise.all(services.splice(0).map((made) => made.close()));
  const channel = await lab.channel();
  for (const one of ['orders', 'billing', 'mail'].map((suffix) => `${name}.${suffix}`)) {
    for (const queue of [one, `${one}.dead`, `${one}.retry.1000`]) await channel.deleteQueue(queue);
    await channel.deleteExchange(one);
  }
  await lab.close();
});

const service = (suffix: string, messageRouter = new MessageRouter(), settings: Settings = {}) => {
  const retry = { attempts: 2, delays: ['1s'] } as const;
  const made = createService(
    { appId: `${name}.${suffix}`, brokerUrl: testBrokerUrl(), retry, ...settings },
    { logger: log, messageRouter },
  );
  services.push(made);
  return made;
};

/** Of this test: others run on the same broker. */
const seenBy = async (looker: SvcCommService) => {
  const { services: all, listeners, unheard, ...rest } = await looker.services();
  const isOurs = ({ exchange }: { readonly exchange: string | undefined }) => exchange?.startsWith(name) === true;
  return {
    ...rest,
    services: all.filter((one) => one.name.startsWith(name)),
    listeners: listeners.filter(isOurs),
    unheard: unheard.filter(isOurs),
  };
};
const namesSeenBy = async (looker: SvcCommService) => (await seenBy(looker)).services.map((one) => one.name);

const quick = { discovery: { heartbeat: '1s' } } as const;

describe('services on one broker', () => {
  test('hear of each other: roles, what is consumed and published with schemas, and what nobody takes', async () => {
    const orders = `${name}.orders`;
    const created = event(orders, 'created', z.object({ id: z.number() }), { description: 'An order was placed' });
    event(orders, 'forgotten', z.object({ id: z.number() }));
    command(`${name}.mail`, 'send', z.object({ to: z.string() }));
    const quote = callable(orders, 'quote', { input: z.string(), output: z.number() });
    const ordersRouter = new MessageRouter();
    ordersRouter.consumer(quote)(() => 1);
    const billingRouter = new MessageRouter();
    billingRouter.consumer(created)(eventConsumer(async () => undefined));
    billingRouter.consumer(orders, 'audit.#')(commandConsumer(async () => undefined));

    await service('orders', ordersRouter).consumer().start();
    const billing = service('billing', billingRouter);
    await billing.consumer().start();
    const seen = await eventually('both', async () => {
      const now = await seenBy(billing);
      return now.services.length === 2 && now;
    });

    expect(seen).toMatchObject({ isCurrent: true });
    expect(seen.services.map((one) => [one.name, one.roles, one.isHealthy])).toEqual([
      [`${name}.billing`, ['consumer'], true],
      [orders, ['consumer'], true],
    ]);
    expect(seen.services[1]).toMatchObject({
      versions: [expect.stringMatching(/^\d+\./)],
      queues: [orders],
      consumes: [{ kind: 'call', routingKey: 'quote', schema: { type: 'string' }, output: { type: 'number' } }],
      instances: [{ pid: process.pid, roles: ['consumer'], failing: [], isDescribed: true, omitted: [] }],
    });
    const told = seen.services[1]?.publishes.filter(({ exchange }) => exchange === orders);
    expect(told).toMatchObject([
      { kind: 'event', routingKey: 'created', description: 'An order was placed', isSeen: false },
      { kind: 'event', routingKey: 'forgotten', schema: { properties: { id: { type: 'number' } } } },
    ]);
    expect(seen.listeners).toEqual([
      { exchange: orders, routingKey: 'audit.#', kind: 'command', services: [`${name}.billing`] },
      { exchange: orders, routingKey: 'created', kind: 'event', services: [`${name}.billing`] },
      { exchange: orders, routingKey: 'quote', kind: 'call', services: [orders] },
    ]);
    expect(seen.unheard.map(({ kind, exchange, routingKey }) => [kind, exchange, routingKey])).toEqual([
      ['command', `${name}.mail`, 'send'],
      ['event', orders, 'forgotten'],
    ]);
  });

  test('of one that says goodbye are without it at once, and know of one that comes', async () => {
    const looker = service('billing');
    const app = service('orders').announcement();
    await app.start();
    await eventually('it has come', async () => (await namesSeenBy(looker)).includes(`${name}.orders`));
    const goneAt = performance.now();
    await app.stop();
    await eventually('it has gone', async () => (await namesSeenBy(looker)).length === 0);
    expect(performance.now() - goneAt).toBeLessThan(5_000);
    await app.start();
    await eventually('it is back', async () => (await namesSeenBy(looker)).length === 1);
  });

  test('of one that says goodbye before it hears anybody itself are without it at once', async () => {
    const proxy = await amqpProxy(testBrokerUrl());
    // It has told that it is there, and the broker's answer to its own listening is under way.
    proxy.rule = ({ kind }, direction) => (direction === 'to-client' && kind === 'basic.consume-ok' ? 'hold' : 'pass');
    const looker = service('billing');
    const app = service('orders', undefined, { brokerUrl: proxy.url(testBrokerUrl()) }).announcement();
    await app.start();
    await eventually('it has come', async () => (await namesSeenBy(looker)).length === 1);
    const goneAt = performance.now();
    const stopping = app.stop();
    await eventually('it has gone', async () => (await namesSeenBy(looker)).length === 0);
    expect(performance.now() - goneAt).toBeLessThan(10_000);
    proxy.heal();
    await stopping;
    await proxy.close();
  });

  test('of one that falls silent are without it after two and a half heartbeats', async () => {
    const proxy = await TcpProxy.to(testBrokerUrl());
    const app = service('orders', undefined, { ...quick, brokerUrl: proxy.url(testBrokerUrl()) }).announcement();
    const looker = service('billing');
    await app.start();
    await eventually('it has come', async () => (await namesSeenBy(looker)).length === 1);
    const silentAt = performance.now();
    proxy.fallSilent();
    await eventually('it is gone', async () => (await namesSeenBy(looker)).length === 0);
    const tookMs = performance.now() - silentAt;
    expect(tookMs).toBeGreaterThan(1_000);
    expect(tookMs).toBeLessThan(10_000);
    await proxy.close();
  });

  test('tell of what has changed with the next heartbeat: a consumer that was registered late', async () => {
    const router = new MessageRouter();
    router.consumer(`${name}.orders`, 'a')(eventConsumer(async () => undefined));
    await service('orders', router, quick).consumer().start();
    const looker = service('billing');
    await eventually('one', async () => (await seenBy(looker)).listeners.length === 1);
    router.consumer(`${name}.orders`, 'b')(eventConsumer(async () => undefined));
    const later = await eventually('two', async () => {
      const { listeners } = await seenBy(looker);
      return listeners.length === 2 && listeners;
    });
    expect(later.map(({ routingKey }) => routingKey)).toEqual(['a', 'b']);
  });

  test('know that a consumer that was registered late is brought nothing before its next start', async () => {
    const orders = `${name}.orders`;
    const late = event(orders, 'late', z.object({}));
    const router = new MessageRouter();
    router.consumer(orders, 'a')(eventConsumer(async () => undefined));
    const consumer = service('orders', router, quick).consumer();
    await consumer.start();
    const billingRouter = new MessageRouter();
    billingRouter.consumer(orders, 'a')(eventConsumer(async () => undefined));
    const looker = service('billing', billingRouter, quick);
    await looker.consumer().start();
    const unheardWith = (listeners: number) =>
      eventually(`${listeners} listeners`, async () => {
        const seen = await seenBy(looker);
        return seen.services.length === 2 && seen.listeners.length === listeners && seen.unheard;
      });
    const isUnheard = [{ exchange: orders, routingKey: 'late' }];
    expect(await unheardWith(1)).toMatchObject(isUnheard);

    router.consumer(late)(() => undefined);
    expect(await unheardWith(2)).toMatchObject(isUnheard);

    await consumer.stop();
    await consumer.start();
    await eventually('it is bound', async () => (await seenBy(looker)).unheard.length === 0);
  });

  test('know each other again when the broker is back, and keep the list as it was in between', async () => {
    const proxy = await TcpProxy.to(testBrokerUrl());
    const brokerUrl = proxy.url(testBrokerUrl());
    const app = service('orders', undefined, { ...quick, brokerUrl }).announcement();
    await app.start();
    const looker = service('billing', undefined, { ...quick, brokerUrl });
    await eventually('it has come', async () => (await namesSeenBy(looker)).length === 1);
    proxy.refuse();
    proxy.cut();
    await eventually('the loss is seen', async () => !(await looker.services()).isCurrent);
    expect(await namesSeenBy(looker)).toEqual([`${name}.orders`]);
    proxy.heal();
    await eventually('it listens again', async () => (await looker.services()).isCurrent);
    // Two and a half heartbeats and more: it is there because it is heard, not because it was.
    const heardAt = performance.now();
    await eventually('time has gone by', async () => performance.now() - heardAt > 4_000);
    expect(await namesSeenBy(looker)).toEqual([`${name}.orders`]);
    await proxy.close();
  }, 60_000);

  test('lose nobody while the broker holds everybody back, since nobody can be heard then', async () => {
    const proxy = await TcpProxy.to(testBrokerUrl());
    const looker = service('billing', undefined, { brokerUrl: proxy.url(testBrokerUrl()) });
    const app = service('orders', undefined, quick).announcement();
    await app.start();
    await eventually('it has come', async () => (await namesSeenBy(looker)).length === 1);
    // As when the broker is short of memory: it says so to the listener, and brings no heartbeats.
    proxy.holdToClient();
    await eventually('a heartbeat is held', async () => proxy.held > 0);
    proxy.injectToClient(blockedFrame('low on memory'));
    await eventually('the listener knows', async () => !(await looker.services()).isCurrent);
    const blockedAt = performance.now();
    await eventually('they would be gone', async () => performance.now() - blockedAt > 3_500);
    expect(await namesSeenBy(looker)).toEqual([`${name}.orders`]);
    proxy.injectToClient(blockedFrame(undefined));
    proxy.heal();
    await eventually('it hears again', async () => (await looker.services()).isCurrent);
    expect(await namesSeenBy(looker)).toEqual([`${name}.orders`]);
    await proxy.close();
  });

  test('of several parts in one process are one instance with all roles, and lose only the role that ends', async () => {
    const router = new MessageRouter();
    router.consumer(`${name}.orders`, 'a')(eventConsumer(async () => undefined));
    const consumer = service('orders', router).consumer();
    const app = service('orders').announcement();
    await app.start();
    await consumer.start();
    const looker = service('billing');
    const rolesOf = async () =>
      (await seenBy(looker)).services.map(({ instances }) => instances.map((one) => one.roles));
    await eventually('both', async () => JSON.stringify(await rolesOf()) === '[[["app","consumer"]]]');
    // The first to come speaks for both; when it goes the other does.
    await app.stop();
    await eventually('one', async () => JSON.stringify(await rolesOf()) === '[[["consumer"]]]');
    await consumer.stop();
    await eventually('none', async () => (await rolesOf()).length === 0);
  });

  test('ignore what is not said by one of them, and a service of a version to come is understood in the rest', async () => {
    const looker = service('billing');
    await looker.services();
    const channel = await lab.channel();
    const say = (topic: string, body: string) => channel.publish(SERVICES_EXCHANGE, topic, Buffer.from(body));
    const instance = '01890000-0000-7000-8000-000000000001';
    for (const topic of [TOPIC.beat, TOPIC.announcement, TOPIC.leave, TOPIC.ask]) {
      for (const body of ['', '[]', 'null', '{"instance":1}', `${'['.repeat(1000)}`, `"${'x'.repeat(300_000)}"`]) {
        say(topic, body);
      }
    }
    const later = {
      protocol: 7,
      instance,
      name: `${name}.mail`,
      digest: 'd',
      everyMs: 1e9,
      mood: 'sunny',
      description: {
        version: '9',
        roles: ['oracle', 'worker'],
        consumes: [
          { kind: 'prophecy', exchange: `${name}.mail`, routingKey: 'new.*', level: 'dream' },
          { kind: 'event', exchange: `${name}.mail`, routingKey: 'a*b' },
          7,
        ],
      },
    };
    say(TOPIC.announcement, JSON.stringify(later));
    const seen = await eventually('it', async () => {
      const now = await seenBy(looker);
      return now.services.length === 1 && now;
    });
    expect(seen.services).toMatchObject([{ name: `${name}.mail`, roles: ['worker'], versions: ['9'] }]);
    expect(seen.listeners.map(({ kind, routingKey }) => [kind, routingKey])).toEqual([['raw', 'new.*']]);
  });

  test('find nobody where nobody is, and ask again at the next look', async () => {
    expect(await namesSeenBy(service('billing'))).toEqual([]);
  });
});

describe('discovery harms nobody', () => {
  test("with declare: 'none' it is off, says so once, and nothing is made", async () => {
    const app = service('orders', undefined, { declare: 'none' });
    await app.announcement().start();
    await app.announcement().start();
    expect(log.count('other services do not hear of this one')).toBe(1);
    await expect(app.services()).rejects.toMatchObject({
      code: 'SVC_COMM_DISCOVERY_UNAVAILABLE',
      message: expect.stringContaining("declare is 'none'"),
    });
    await expect(service('mail', undefined, { discovery: { enabled: false } }).services()).rejects.toMatchObject({
      code: 'SVC_COMM_DISCOVERY_UNAVAILABLE',
    });
  });

  test('a broker that is not there holds up no start and no stop, and whoever asks is told in time', async () => {
    const proxy = await TcpProxy.to(testBrokerUrl());
    proxy.refuse();
    const app = service('orders', undefined, { brokerUrl: proxy.url(testBrokerUrl()) });
    const announcement = app.announcement();
    const beganAt = performance.now();
    await announcement.start();
    await announcement.stop();
    expect(performance.now() - beganAt).toBeLessThan(1_000);
    await expect(app.services()).rejects.toMatchObject({ code: 'SVC_COMM_BROKER_UNAVAILABLE' });
    await app.close();
    expect(performance.now() - beganAt).toBeLessThan(15_000);
    await proxy.close();
  });

  test('a broker that has stopped answering does not hold up the end', async () => {
    const proxy = await TcpProxy.to(testBrokerUrl());
    const app = service('orders', undefined, { brokerUrl: proxy.url(testBrokerUrl()) });
    await app.announcement().start();
    await app.services();
    proxy.fallSilent();
    const beganAt = performance.now();
    await app.close();
    expect(performance.now() - beganAt).toBeLessThan(10_000);
    await proxy.close();
  });

  test('an announcement keeps its word when start and stop cross', async () => {
    const app = service('orders');
    await stressService(() => app.announcement());
  });
});
