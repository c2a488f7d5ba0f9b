import { afterAll, beforeAll, expect, it } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { TemporaryQueue } from '../../src/broker/temporary-queue.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { type OwnRabbit, startOwnRabbit } from '../support/own-servers.ts';

let rabbit: OwnRabbit;
beforeAll(async () => {
  rabbit = await startOwnRabbit();
  await rabbit.ctl('add_user', 'limited', 'secret');
});
afterAll(() => rabbit.remove());

/** @param read of exchanges and queues: who may not read from an exchange may bind nothing to it */
const permit = (read: string) => rabbit.ctl('set_permissions', 'limited', '.*', '.*', read);
const queues = async () => {
  const names = await rabbit.ctl('list_queues', '--quiet', '--no-table-headers', 'name');
  return names.split('\n').filter((name) => name !== '');
};

it('a temporary queue that may not be bound does not stay, however often it is tried', async () => {
  await permit('^amq\\.gen-');
  const url = rabbit.url.replace('guest:guest', 'limited:secret');
  const connection = new BrokerConnection({ name: 'limited', url });
  await connection.start();
  const tried: string[] = [];
  const queue = new TemporaryQueue({
    connection,
    name: 'limited',
    bind: async (channel, name) => {
      tried.push(name);
      await channel.bindQueue(name, 'amq.topic', '#');
    },
    onMessage: () => undefined,
    onRefused: () => false,
    logger: silentLogger,
  });
  await queue.start();
  for (let again = 0; again < 4; again += 1) await queue.tryAgain();
  expect([new Set(tried).size, queue.isGivenUp]).toEqual([5, true]);
  expect(await queues()).toEqual([]);
  await permit('.*');
  await queue.tryAgain();
  expect(queue.isReceiving).toBe(true);
  expect(await queues()).toEqual(tried.slice(5));
  await queue.stop();
  await connection.stop();
});
