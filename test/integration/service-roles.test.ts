import { afterAll, beforeAll, expect, test } from 'vitest';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { until } from '../support/consumer-kit.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
beforeAll(async () => {
  kit = await ServiceKit.open('roles');
});
afterAll(() => kit.close());

test('a role that stops leaves the database to those of its service that go on', async () => {
  const service = kit.service('shared');
  const { appId } = service.settings;
  const handled: unknown[] = [];
  service.messageRouter.consumer(
    appId,
    'work',
  )(
    commandConsumer(async ({ n }: { n: number }, { attempt, transaction }) => {
      handled.push([n, attempt, transaction !== undefined]);
    }),
  );
  await service.migrate();
  const [first, second] = [service.consumer(), service.consumer()];
  await Promise.all([first.start(), second.start()]);
  await second.stop();
  await service.sendCommand(appId, { n: 1 }, { commandName: 'work' });
  await until(() => handled.length === 1);
  await first.stop();
  await first.start();
  await service.sendCommand(appId, { n: 2 }, { commandName: 'work' });
  await until(() => handled.length === 2);
  expect(handled).toEqual([
    [1, 1, true],
    [2, 1, true],
  ]);
});

test('a consumer is brought what was registered until its start, also when it is started again', async () => {
  const service = kit.service('registered');
  const { appId } = service.settings;
  const handled: string[] = [];
  const register = (key: string) =>
    service.messageRouter.consumer(appId, key)(async (routingKey) => void handled.push(routingKey));
  await service.migrate();
  register('before');
  const consumer = service.consumer();
  register('between');
  await consumer.start();
  for (const key of ['before', 'between']) kit.channel.publish(appId, key, Buffer.from('{}'), { messageId: key });
  await until(() => handled.length === 2);
  register('later');
  await consumer.stop();
  await consumer.start();
  kit.channel.publish(appId, 'later', Buffer.from('{}'), { messageId: 'later' });
  await until(() => handled.length === 3);
  expect(handled.toSorted()).toEqual(['before', 'between', 'later']);
});
