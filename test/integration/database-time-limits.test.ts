import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Reject } from '../../src/errors.ts';
import { until } from '../support/consumer-kit.ts';
import { effectConsumer } from '../support/outage.ts';
import { ServiceKit } from '../support/service-kit.ts';

const LIMIT_MS = 300;

let kit: ServiceKit;
let role: string;
let databaseUrl: string;

beforeAll(async () => {
  kit = await ServiceKit.open('time_limits');
  await kit.service('migrate').migrate();
  await kit.pg.query(`CREATE TABLE ${kit.table('effect')} (id text)`);
  ({ role, databaseUrl } = await kit.role());
  await kit.pg.query(`ALTER ROLE ${role} SET idle_in_transaction_session_timeout = ${LIMIT_MS}`);
});
afterAll(() => kit.close());

const letter = async (queue: string) => {
  const message = await kit.channel.get(`${queue}.dead`, { noAck: true });
  if (message === false) return undefined;
  const { headers = {} } = message.properties;
  return {
    id: message.properties.messageId,
    reason: headers['svc-comm-reason'],
    failures: headers['svc-comm-failures'],
  };
};

it.each([1, 8])(
  'a handler that waits for longer than PostgreSQL lets its transaction be idle has its attempts, and is told of that limit; the others are handled (group %i)',
  async (group) => {
    const name = `idle${group}`;
    const work = async (id: string) => {
      if (id.startsWith('slow')) await pause(LIMIT_MS * 3);
      if (id === 'slow-rejected') throw new Reject('not for us');
    };
    const { consumer, send, attempts } = effectConsumer(kit, { name, group, settings: { databaseUrl }, work });
    const ids = [`slow-${group}`, 'quick-1', 'quick-2', 'slow-rejected', 'quick-3'];
    await consumer.start();
    for (const id of ids) send(id);
    await until(() => consumer.stats.deadLettered.attempts + consumer.stats.deadLettered.rejected === 2, 30_000);
    await until(async () => (await kit.count('effect', `id LIKE 'quick%'`)) === 3);
    await consumer.stop();
    expect(await kit.count('effect', `id LIKE 'slow%'`)).toBe(0);
    const queue = `${kit.name}.${name}`;
    const letters = new Map([await letter(queue), await letter(queue)].map((one) => [one?.id, one]));
    expect(letters.get('slow-rejected')).toMatchObject({ reason: 'rejected' });
    expect(letters.get(`slow-${group}`)).toMatchObject({
      reason: 'attempts',
      failures: expect.stringMatching(/SVC_COMM_TRANSACTION_TIMEOUT.*raise idle_in_transaction_session_timeout/),
    });
    expect(Math.max(...attempts)).toBe(2);
    await kit.pg.query(`DELETE FROM ${kit.table('effect')}`);
  },
);

it('who runs a transaction of their own for too long is told by which limit it was ended', async () => {
  const service = kit.service('own', { databaseUrl });
  const running = service.transaction(async () => {
    await service.publishAggregateEvent({ aggregate: kit.exchangeName('own'), eventType: 'made', payload: {} });
    await pause(LIMIT_MS * 3);
  });
  await expect(running).rejects.toMatchObject({
    code: 'SVC_COMM_TRANSACTION_TIMEOUT',
    limit: 'idle_in_transaction_session_timeout',
  });
  expect(await kit.count('svc_comm_outbox')).toBe(0);
});
