import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { World } from '../../support/kill/world.ts';

let world: World;
beforeAll(async () => {
  world = await World.create();
});
afterAll(() => world?.destroy());

test("with declare: 'none' a user who may not configure anything consumes, retries and publishes", async () => {
  const owner = await world.boundConsumer();
  expect(await owner.stop()).toBe(0);
  await world.rabbit.ctl('add_user', 'plain', 'secret');
  await world.rabbit.ctl('set_permissions', 'plain', '^$', '.*', '.*');
  const brokerUrl = world.rabbit.url.replace('guest:guest', 'plain:secret');

  const changes = { brokerUrl, declare: 'none' };
  // Without keys the failed messages go through the retry queue, by the default exchange.
  const consumer = world.consumer({ FAIL_ONE_IN: '5' }, changes);
  const relay = world.relay(changes);
  const producer = await world.producer({ NO_KEY: '1' });
  await producer.burst(1000);
  expect(await producer.stop()).toBe(0);
  await eventually('every event has its effect', async () => (await world.oracle.verdict(['ledger'])).lost === 0);
  expect(await Promise.all([consumer.stop(), relay.stop()])).toEqual([0, 0]);
  const { produced, inversions: _, ...rest } = await world.oracle.verdict(['ledger']);
  expect(produced).toBeGreaterThanOrEqual(1000);
  expect(rest).toEqual({ effects: produced, lost: 0, ghosts: 0, duplicateEffects: 0 });
  expect(consumer.log).toContain('its message is tried again');
  expect(consumer.log + relay.log).not.toContain('secret');
  expect((await world.queue('ledger-queue.dead')).ready).toBe(0);
});

test('doctor finds nothing amiss for that user, and with declare: create what it may not', async () => {
  const brokerUrl = world.rabbit.url.replace('guest:guest', 'plain:secret');
  const consumer = world.consumer({}, { brokerUrl, declare: 'none' });
  await eventually('the consumer is subscribed', async () => consumer.log.includes('consuming from queue'));
  expect(await world.run(['doctor', '--json'], { brokerUrl, declare: 'none' })).toMatch(/"wrong":0,"warnings":0/);
  expect(await consumer.stop()).toBe(0);
  const finding = /"code":"broker-rights"/;
  await expect(world.run(['doctor', '--json'], { brokerUrl })).rejects.toThrow(finding);
});

test('that user with declare: verify consumes too, and says once that others do not hear of it', async () => {
  const brokerUrl = world.rabbit.url.replace('guest:guest', 'plain:secret');
  const consumer = world.consumer({}, { brokerUrl, declare: 'verify', discovery: { heartbeat: '1s' } });
  const refusal = /other services do not hear of this one: the broker does not permit it/g;
  await eventually('the consumer is subscribed', async () => consumer.log.includes('consuming from queue'));
  await eventually('it says so', async () => refusal.test(consumer.log));
  // As many as there are heartbeats in that time would be a line each.
  await world.rabbit.ctl('list_queues');
  expect(await consumer.stop()).toBe(0);
  expect(consumer.log.match(refusal)).toHaveLength(1);
  await expect(world.run(['services', '--json'], { brokerUrl, declare: 'verify' })).rejects.toThrow(
    /SVC_COMM_DISCOVERY_UNAVAILABLE/,
  );
});

test('a user with the rights that docs/services.md names, and no others, is heard of and hears', async () => {
  // Whoever may makes the exchange: the owner, who asks first.
  await world.run(['services', '--json'], {});
  await world.rabbit.ctl('add_user', 'teller', 'secret');
  const temporary = 'amq\\.gen-.*';
  const both = `^(svc-comm\\.services|${temporary})$`;
  await world.rabbit.ctl('set_permissions', 'teller', `^${temporary}$`, both, both);
  const brokerUrl = world.rabbit.url.replace('guest:guest', 'teller:secret');
  expect(JSON.parse(await world.run(['services', '--json'], { brokerUrl }))).toMatchObject({ isCurrent: true });
});

test('the same user with declare: create is told at once what the broker refuses', async () => {
  const brokerUrl = world.rabbit.url.replace('guest:guest', 'plain:secret');
  const consumer = world.consumer({}, { brokerUrl, queue: { name: 'not-there' } });
  await consumer.exited;
  expect(consumer.child.exitCode).toBe(1);
  expect(consumer.log).toMatch(/not-there/);
  expect(consumer.log).not.toContain('secret');
});
