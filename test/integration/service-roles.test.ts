import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { until } from '../support/consumer-kit.ts';
import { eventually } from '../support/eventually.ts';
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

describe('of a role that has stopped', () => {
  let collect: () => void;
  beforeAll(() => {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as typeof collect;
  });

  test('nothing is kept by its service', async () => {
    const service = kit.service('forgets');
    const watched = async () => {
      const onMessage = () => undefined;
      const watch = service.watch({ exchange: 'amq.topic', onMessage });
      await watch.start();
      await watch.stop();
      return new WeakRef(onMessage);
    };
    const left = await watched();
    await eventually('it is collected', async () => {
      collect();
      return left.deref() === undefined;
    });
  });

  test('it is stopped with the service all the same when it was started again, also while it stopped', async () => {
    const service = kit.service('again');
    const watch = service.watch({ exchange: 'amq.topic', onMessage: () => undefined });
    await watch.start();
    await Promise.all([watch.stop(), watch.start()]);
    expect(watch.state).toBe('running');
    await service.close();
    expect(watch.state).toBe('idle');
  });
});
