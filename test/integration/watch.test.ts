import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../support/consumer-kit.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
beforeAll(async () => {
  kit = await ServiceKit.open('watch');
});
afterAll(() => kit.close());

/** More than the broker hands out to a watch that is not done with any. */
const MANY = 600;

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
