import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InboxStore } from '../../src/database/inbox-store.ts';
import { migrate, pendingMigrations } from '../../src/database/migrate.ts';
import { knexTransactions, resolveTransactions, type Transactions } from '../../src/database/transactions.ts';
import { EmbeddedDatabase } from '../../src/embedded/database/embedded-database.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import { RecordingPipe, type RelayKit, relayKit, until } from '../support/relay-kit.ts';
import { hasServers, testDatabaseUrl, uniqueName } from '../support/servers.ts';

const embedded = new EmbeddedDatabase();
beforeAll(() => embedded.start());
afterAll(() => embedded.stop());

describe.each([
  ...(hasServers ? [{ database: 'PostgreSQL', url: () => testDatabaseUrl(), max: 10 }] : []),
  { database: 'the embedded database', url: () => embedded.url, max: 1 },
])('$database', ({ url, max }) => {
  let kit: RelayKit;
  let transactions: Transactions;
  let outbox: Outbox;
  let inbox: InboxStore;
  beforeAll(async () => {
    kit = await relayKit('conformance', { url: url(), max });
    transactions = resolveTransactions(knexTransactions(), kit.db.pool, kit.db.schema);
    outbox = new Outbox({ transactions, appId: 'orders', schema: kit.db.schema });
    inbox = new InboxStore({ transactions, schema: kit.db.schema });
  });
  afterAll(() => kit.close());

  const event = (key: string, payload: unknown = {}) => ({ aggregate: 'order', eventType: 'made', payload, key });
  const write = (handle: unknown, id: string) =>
    (handle as { raw(sql: string, values: unknown[]): Promise<unknown> }).raw(
      `INSERT INTO ${kit.db.table('effect')} VALUES (?)`,
      [id],
    );
  const waiting = (key: string) => kit.db.count('svc_comm_outbox', `order_key = '${key}'`);
  const effects = (id: string) => kit.db.count('effect', `id = '${id}'`);

  describe('migrations', () => {
    it('run once each when several processes run them at once, and then there is nothing to do', async () => {
      const schema = uniqueName('conformance_migrate');
      const { knex } = kit.db.pool;
      const ran = await Promise.all([1, 2, 3].map(() => migrate(knex, { schema })));
      expect(new Set(ran.flat()).size).toBe(ran.flat().length);
      expect(ran.flat().length).toBeGreaterThan(1);
      expect(await migrate(knex, { schema })).toEqual([]);
      const connection = await kit.connect();
      expect(await pendingMigrations(connection, { schema })).toEqual([]);
      await connection.close();
      await knex.raw(`DROP SCHEMA "${schema}" CASCADE`);
    });
  });

  describe('a transaction', () => {
    it('keeps rows and events together: both or neither', async () => {
      const failure = new Error('no');
      const refused = transactions.run(async (trx) => {
        await write(trx, 'together');
        await outbox.publishAggregateEvent(event('together'));
        throw failure;
      });
      await expect(refused).rejects.toBe(failure);
      expect([await effects('together'), await waiting('together')]).toEqual([0, 0]);
      await transactions.run(async (trx) => {
        await write(trx, 'together');
        await outbox.publishAggregateEvent(event('together'));
      });
      expect([await effects('together'), await waiting('together')]).toEqual([1, 1]);
    });

    it('loses only its own rows and events when it is nested and throws', async () => {
      await transactions.run(async (trx) => {
        await write(trx, 'outer');
        await outbox.publishAggregateEvent(event('nested', 'outer'));
        const inner = transactions.run(async (nested) => {
          await write(nested, 'inner');
          await outbox.publishAggregateEvent(event('nested', 'inner'));
          throw new Error('inner');
        });
        await inner.catch(() => undefined);
      });
      expect([await effects('outer'), await effects('inner'), await waiting('nested')]).toEqual([1, 0, 1]);
    });
  });

  describe('the relay', () => {
    it('sends every event once, in the order of commits within a key, and deletes it after the confirm', async () => {
      const pipe = new RecordingPipe();
      const { relay } = kit.relay(pipe, { pollMs: 200 });
      await relay.start();
      const publish = async (key: number) => {
        for (let n = 0; n < 20; n += 1) {
          await transactions.run(() => outbox.publishAggregateEvent(event(`in order ${key}`, n)));
        }
      };
      await Promise.all([1, 2, 3, 4].map(publish));
      const sent = (key: number) =>
        pipe.offers
          .map(({ message }) => ({ ...message, text: Buffer.from(message.body).toString() }))
          .filter(({ properties }) => properties.headers?.['svc-comm-key'] === `in order ${key}`)
          .map(({ text }) => (JSON.parse(text) as { payload: number }).payload);
      const inOrder = Array.from({ length: 20 }, (_, n) => n);
      await until('all sent', () => [1, 2, 3, 4].every((key) => sent(key).length === 20), 30_000);
      for (const key of [1, 2, 3, 4]) expect(sent(key)).toEqual(inOrder);
      await until('all deleted', async () => (await kit.db.count('svc_comm_outbox')) === 0);
      await relay.stop();
    });

    it('publishes again with the same id what was not confirmed', async () => {
      const pipe = new RecordingPipe();
      let isFirst = true;
      pipe.decide = () => {
        const outcome = isFirst
          ? ({ kind: 'unknown', error: new Error('lost') } as const)
          : ({ kind: 'confirmed' } as const);
        isFirst = false;
        return outcome;
      };
      const { relay } = kit.relay(pipe, { pollMs: 200 });
      await relay.start();
      const { eventId } = await outbox.publishAggregateEvent(event('again'), { transaction: 'own' });
      await until('sent twice', () => pipe.offers.length === 2);
      expect(pipe.ids()).toEqual([eventId, eventId]);
      await relay.stop();
    });

    it('is woken by a commit when it has parked', async () => {
      const pipe = new RecordingPipe();
      const { relay } = kit.relay(pipe, { pollMs: 60_000 });
      await relay.start();
      await until('parked', () => relay.isParked, 30_000);
      await outbox.publishAggregateEvent(event('woken'), { transaction: 'own' });
      await until('sent', () => pipe.offers.length === 1);
      expect(relay.stats.notified).toBeGreaterThan(0);
      await relay.stop();
    });

    it('is replaced when it dies: another takes its partitions when the lease has run out', async () => {
      const [dying, heir] = [new RecordingPipe(), new RecordingPipe()];
      dying.decide = () => undefined;
      const first = kit.relay(dying, { leaseMs: 1500, pollMs: 200 });
      await first.relay.start();
      const { eventId } = await outbox.publishAggregateEvent(event('left behind'), { transaction: 'own' });
      await until('offered', () => dying.offers.length === 1);
      await first.kill();
      const second = kit.relay(heir, { leaseMs: 1500, pollMs: 200 });
      await second.relay.start();
      await until('sent by the other', () => heir.ids().includes(eventId), 30_000);
      await second.relay.stop();
    });
  });

  describe('the inbox', () => {
    const request = (messageId: string, isRedriven = false) => ({
      key: { queue: 'q', source: 's', messageId },
      isRedriven,
      handler: 'Orders.on',
    });

    it('lets the same message, twenty times at once, have one effect', async () => {
      const handle = () =>
        inbox.handle(request('at once'), async (trx) => {
          await write(trx, 'at once');
        });
      const results = await Promise.all(Array.from({ length: 20 }, handle));
      expect(results.filter(({ kind }) => kind === 'handled')).toHaveLength(1);
      expect(results.filter(({ kind }) => kind === 'done')).toHaveLength(19);
      expect(await effects('at once')).toBe(1);
    });

    it('undoes what a handler that throws has written and published', async () => {
      const failure = new Error('handler');
      const handled = inbox.handle(request('thrown'), async (trx) => {
        await write(trx, 'thrown');
        await outbox.publishAggregateEvent(event('thrown'));
        throw failure;
      });
      await expect(handled).rejects.toBe(failure);
      expect([await effects('thrown'), await waiting('thrown')]).toEqual([0, 0]);
      expect(await inbox.handle(request('thrown'), (trx) => write(trx, 'thrown'))).toMatchObject({ kind: 'handled' });
    });
  });

  describe('future events', () => {
    const future = (userId: number, inMs: number) => ({
      ...event(`future ${userId}`),
      eventTime: new Date(Date.now() + inMs),
      tags: { userId },
    });

    it('are sent when they are due, or cancelled by their tags, never both', async () => {
      const pipe = new RecordingPipe();
      const { relay } = kit.relay(pipe, { pollMs: 200 });
      await transactions.run(async () => {
        for (let user = 0; user < 50; user += 1) await outbox.publishFutureAggregateEvent(future(user, 300));
      });
      await relay.start();
      let cancelled = 0;
      for (let user = 0; user < 50; user += 1) {
        const filter = { aggregate: 'order', eventType: 'made', tags: { userId: user } };
        cancelled += await outbox.cancelFutureAggregateEvent(filter, { transaction: 'own' });
      }
      await until('none waits', async () => (await kit.db.count('svc_comm_future')) === 0, 30_000);
      await until('each counted once', () => pipe.offers.length + cancelled === 50, 30_000);
      await relay.stop();
      expect(pipe.offers.length + cancelled).toBe(50);
    });
  });
});
