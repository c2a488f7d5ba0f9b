import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { AmqpLab } from '../support/amqp-lab.ts';
import { testBrokerUrl, uniqueName } from '../support/servers.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let lab: AmqpLab;
let name: string;
const services: SvcCommService[] = [];

beforeEach(() => {
  lab = new AmqpLab(testBrokerUrl());
  name = uniqueName('declare');
});

afterEach(async () => {
  await Promise.all(services.splice(0).map((made) => made.close()));
  const channel = await lab.channel();
  for (const queue of [name, `${name}.dead`, `${name}.retry.1000`]) await channel.deleteQueue(queue);
  await channel.deleteExchange(name);
  await lab.close();
});

function service(
  declare: 'create' | 'verify' | 'none' = 'create',
  messageRouter?: MessageRouter,
  brokerUrl = testBrokerUrl(),
): SvcCommService {
  const made = createService(
    {
      appId: name,
      brokerUrl,
      queue: name,
      // Those of the router's consumers, with one.
      ...(messageRouter ? {} : { binds: [[name, 'inserted']] }),
      retry: { attempts: 2, delays: ['1s'] },
      declare,
    },
    { logger: silentLogger, ...(messageRouter && { messageRouter }) },
  );
  services.push(made);
  return made;
}

it('declare() makes exchange, queue, bindings, retry and dead queues before any consumer ran, twice as well as once', async () => {
  await Promise.all([service().declare(), service().declare()]);
  const channel = await lab.channel();
  for (const queue of [name, `${name}.dead`, `${name}.retry.1000`]) await channel.checkQueue(queue);
  channel.publish(name, 'inserted', Buffer.from('{"n":1}'), { messageId: 'm1' });
  await channel.waitForConfirms();
  expect(await service().takeOne(name, (_key, body) => body)).toEqual({ n: 1 });
});

it('takeOne of the service’s own queue finds it empty on a broker that has none yet', async () => {
  expect(await service().takeOne(name, () => 'handled')).toBeUndefined();
});

it('declare() and takeOne bind for consumers that were registered after their first use', async () => {
  const router = new MessageRouter();
  const own = service('create', router);
  router.consumer(name, 'first')(() => undefined);
  await own.declare();
  const channel = await lab.channel();
  const send = async (routingKey: string) => {
    channel.publish(name, routingKey, Buffer.from(JSON.stringify(routingKey)), { messageId: routingKey });
    await channel.waitForConfirms();
  };
  router.consumer(name, 'second')(() => undefined);
  await own.declare();
  await send('second');
  expect(await own.takeOne(name, (_key, body) => body)).toBe('second');
  router.consumer(name, 'third')(() => undefined);
  expect(await own.takeOne(name, () => 'none yet')).toBeUndefined();
  await send('third');
  expect(await own.takeOne(name, (_key, body) => body)).toBe('third');
});

it('takeOne of another queue declares nothing', async () => {
  await expect(service().takeOne(`${name}.other`, () => 'handled')).rejects.toMatchObject({
    code: 'SVC_COMM_QUEUE_UNAVAILABLE',
  });
  const channel = await lab.channel();
  await expect(channel.checkQueue(name)).rejects.toThrow(/NOT_FOUND/);
});

it('a declaration that failed is tried again by the next call', async () => {
  const verifying = service('verify');
  await expect(verifying.declare()).rejects.toMatchObject({ code: 'SVC_COMM_TOPOLOGY_MISMATCH' });
  await service().declare();
  await verifying.declare();
});

it('with declare none nothing is made', async () => {
  await service('none').declare();
  const channel = await lab.channel();
  await expect(channel.checkQueue(name)).rejects.toThrow(/NOT_FOUND/);
});

it('takeOne takes from however many queues over the same two connections', async () => {
  const proxy = await TcpProxy.to(testBrokerUrl());
  onTestFinished(() => proxy.close());
  const channel = await lab.channel();
  const queues = ['a', 'b', 'c', 'd'].map((suffix) => `${name}.${suffix}`);
  for (const queue of queues) {
    await channel.assertQueue(queue, { durable: false });
    channel.sendToQueue(queue, Buffer.from(JSON.stringify(queue)), { messageId: queue });
  }
  await channel.waitForConfirms();
  const taker = service('create', undefined, proxy.url(testBrokerUrl()));
  expect(await taker.takeOne(name, () => 'handled')).toBeUndefined();
  expect(await Promise.all(queues.map((queue) => taker.takeOne(queue, (_key, body) => body)))).toEqual(queues);
  expect(proxy.accepted).toBe(2);
  for (const queue of queues) await channel.deleteQueue(queue);
});
