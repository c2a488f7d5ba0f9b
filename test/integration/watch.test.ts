import { connect } from 'amqplib';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { deferred } from '../../src/util/deferred.ts';
import { until } from '../support/consumer-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
beforeAll(async () => {
  kit = await ServiceKit.open('watch');
});
afterAll(() => kit.close());

/** More than the broker hands out to a watch that is not done with any. */
const MANY = 600;
const MIB = 1024 * 1024;

test.each([
  [
    'throws',
    () => {
      throw new Error('cannot be shown');
    },
  ],
  ['rejects', async () => Promise.reject(new Error('cannot be shown'))],
])('a watch whose onMessage %s for each message ends nothing, and is given all of them', async (_what, fail) => {
  const service = kit.service('watcher');
  const { appId } = service.settings;
  await kit.channel.assertExchange(appId, 'topic', { autoDelete: true });
  let seen = 0;
  const watch = service.watch({
    exchange: appId,
    onMessage: () => {
      seen += 1;
      return fail();
    },
  });
  await watch.start();
  for (let n = 0; n < MANY; n += 1) kit.channel.publish(appId, 'passes', Buffer.from('{}'));
  await until(() => seen === MANY);
  await watch.stop();
  expect(kit.log.count('a message could not be shown')).toBeGreaterThanOrEqual(MANY);
});

test('of a watcher that does not read the broker keeps the newest 64 MiB, and the watcher holds few of them', {
  timeout: 60_000,
}, async () => {
  const service = kit.service('slow');
  const { appId } = service.settings;
  await kit.channel.assertExchange(appId, 'topic', { autoDelete: true });
  const seen: number[] = [];
  const gate = deferred();
  const watch = service.watch({
    exchange: appId,
    onMessage: ({ routingKey }) => {
      seen.push(Number(routingKey));
      return gate.promise;
    },
  });
  await watch.start();
  const publisher = await connect(testBrokerUrl());
  onTestFinished(() => publisher.close());
  const flood = await publisher.createConfirmChannel();
  const body = Buffer.alloc(MIB, 'x');
  for (let n = 1; n <= 120; n += 1) flood.publish(appId, String(n), body);
  await flood.waitForConfirms();
  const held = seen.length;
  gate.resolve();
  await until(() => seen.at(-1) === 120);
  expect(held).toBeGreaterThan(0);
  expect(held).toBeLessThanOrEqual(20);
  expect(seen.slice(-64)).toEqual(Array.from({ length: 64 }, (_, n) => 57 + n));
  expect(seen.length).toBeLessThanOrEqual(20 + 64);
  await watch.stop();
});
