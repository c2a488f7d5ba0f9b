import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { knexTransactions, resolveTransactions } from '../../src/database/transactions.ts';
import { cancelFutureEvents } from '../../src/outbox/future-events.ts';
import { Outbox } from '../../src/outbox/outbox.ts';
import type { Relay } from '../../src/outbox/relay.ts';
import { KEY_LOCK_NAMESPACE } from '../../src/outbox/sql/key-lock.ts';
import type { Tags } from '../../src/outbox/validate.ts';
import { sleep } from '../../src/util/sleep.ts';
import { insertSql, RecordingPipe, type RelayKit, relayKit, until } from '../support/relay-kit.ts';

let kit: RelayKit;
beforeAll(async () => {
  kit = await relayKit('relay_future');
});
afterAll(() => kit.close());
const relays: Relay[] = [];
afterEach(async () => {
  for (const relay of relays.splice(0)) await relay.stop();
  await kit.db.pg.query(`TRUNCATE ${kit.db.table('svc_comm_outbox')}, ${kit.db.table('svc_comm_future')}`);
});
async function started(pipe: RecordingPipe): Promise<Relay> {
  const { relay } = kit.relay(pipe);
  relays.push(relay);
  await relay.start();
  return relay;
}

interface FutureSpec {
  readonly inMs: number;
  readonly body: string;
  readonly key?: string;
}
const plan = (rows: readonly FutureSpec[]) =>
  kit.db.pg.query(
    `INSERT INTO ${kit.db.table('svc_comm_future')} (due_at, tags, order_key, message_id, exchange, routing_key, body)
     SELECT clock_timestamp() + (r->>'inMs')::float8 * interval '1 ms', jsonb_build_object('n', r->>'body'), r->>'key',
            gen_random_uuid(), 'thing', 'due', r->>'body'
       FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY e(r, n) ORDER BY n`,
    [JSON.stringify(rows)],
  );

describe('future events', () => {
  it('are sent when they are due and within a second, also those written sooner than all others', async () => {
    const pipe = new RecordingPipe();
    const relay = await started(pipe);
    const from = performance.now();
    await plan([
      { inMs: 60_000, body: 'far' },
      { inMs: 1500, body: '1500' },
      { inMs: 700, body: '700' },
    ]);
    await plan([{ inMs: 100, body: '100' }]);
    await until('three are sent', () => pipe.offers.length === 3);
    expect(pipe.bodies()).toEqual(['100', '700', '1500']);
    for (const { message, atMs } of pipe.offers) {
      const lateMs = atMs - from - Number(Buffer.from(message.body).toString());
      expect(lateMs).toBeGreaterThan(0);
      expect(lateMs).toBeLessThan(1000);
    }
    expect(relay.stats.promoted).toBe(3);
    expect(await kit.db.count('svc_comm_future')).toBe(1);
  });

  it('are each cancelled or sent, never both and never neither, when 1,000 cancels race two relays', async () => {
    const pipes = [new RecordingPipe(), new RecordingPipe()];
    for (const pipe of pipes) await started(pipe);
    const { pool, schema } = kit.db;
    const transactions = resolveTransactions(knexTransactions(), pool);
    const outbox = new Outbox({ transactions, appId: 'things', schema });
    const connection = await kit.connect();
    onTestFinished(() => connection.close());
    const cancel = (n: number, tags: Tags) =>
      n % 3 === 0
        ? cancelFutureEvents(connection, schema, { tags })
        : outbox.cancelFutureAggregateEvent({ aggregate: 'thing', eventType: 'due', tags }, { transaction: 'own' });
    const bodies = Array.from({ length: 1000 }, (_, n) => `c${n}`);
    await plan(bodies.map((body, n) => ({ inMs: 300 + 4 * n, body, ...(n % 2 === 0 && { key: `k${n % 10}` }) })));
    const cancelled = new Set<string>();
    const from = performance.now();
    const cancels = bodies.map(async (body, n) => {
      // around its own due time; on a machine that is late with all of them, some are early and some late all the same
      const early = n % 10 === 0 ? 10_000 : n % 10 === 1 ? -500 : 80 - Math.random() * 100;
      await sleep(Math.max(0, 300 + 4 * n - early - (performance.now() - from)));
      const count = await cancel(n, { n: body });
      expect(count).toBeLessThanOrEqual(1);
      if (count === 1) cancelled.add(body);
    });
    await Promise.all(cancels);
    await until('nothing waits', async () => {
      const left = (await kit.db.count('svc_comm_future')) + (await kit.db.count('svc_comm_outbox'));
      return left === 0;
    });
    const sent = pipes.flatMap((pipe) => pipe.bodies());
    console.info(`${cancelled.size} cancelled, ${sent.length} sent`);
    expect(cancelled.size).toBeGreaterThan(50);
    expect(sent.length).toBeGreaterThan(50);
    expect(new Set(sent).size).toBe(sent.length);
    expect(sent.filter((body) => cancelled.has(body))).toEqual([]);
    expect(sent.length + cancelled.size).toBe(1000);
  });

  it('wait for nobody: neither for a cancel that is not committed nor for a transaction that holds their key', async () => {
    const pipe = new RecordingPipe();
    await plan([
      { inMs: 0, body: 'cancelling', key: 'c' },
      { inMs: 1, body: 'behind the cancel', key: 'c' },
      { inMs: 0, body: 'held', key: 'h' },
    ]);
    const client = await kit.db.pg.connect();
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [KEY_LOCK_NAMESPACE, 'h']);
    await client.query(insertSql(kit.db.table('svc_comm_outbox')), [JSON.stringify([{ key: 'h', body: 'before' }])]);
    await client.query(`DELETE FROM ${kit.db.table('svc_comm_future')} WHERE tags @> '{"n":"cancelling"}'`);
    await started(pipe);
    await plan([
      { inMs: 50, body: 'free' },
      { inMs: 60, body: 'keyed', key: 'f' },
      // The relay has looked for what is due many times when this one goes.
      { inMs: 600, body: 'later' },
    ]);
    await until('the others are sent', () => pipe.offers.length >= 3);
    expect(pipe.bodies()).toEqual(['free', 'keyed', 'later']);
    await client.query('COMMIT');
    client.release();
    await until('all is sent', () => pipe.offers.length === 6);
    expect(pipe.bodies().filter((body) => ['before', 'held'].includes(body))).toEqual(['before', 'held']);
    expect(pipe.bodies()).toContain('behind the cancel');
    expect(pipe.bodies()).not.toContain('cancelling');
  });

  it.each(['a transaction that holds the key of all', 'a cancel of all that is not committed'])(
    'wait for nobody where more than a relay moves at once are barred by %s',
    async (barred) => {
      const pipe = new RecordingPipe();
      const isCancel = barred.startsWith('a cancel');
      const many = Array.from({ length: 1200 }, (_, n) => ({
        inMs: 0,
        body: `barred ${n}`,
        key: isCancel ? `b${n}` : 'h',
      }));
      await plan(many);
      const client = await kit.db.pg.connect();
      await client.query('BEGIN');
      if (isCancel) await client.query(`DELETE FROM ${kit.db.table('svc_comm_future')}`);
      else await client.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [KEY_LOCK_NAMESPACE, 'h']);
      const relay = await started(pipe);
      await plan([
        { inMs: 50, body: 'free' },
        { inMs: 60, body: 'of another key', key: 'f' },
        { inMs: 70, body: 'of a barred one', key: many[0]?.key ?? '' },
        { inMs: 800, body: 'later' },
      ]);
      await until('the others are sent', () => pipe.bodies().includes('later'));
      expect(pipe.bodies()).toEqual(['free', 'of another key', 'later']);
      await client.query('COMMIT');
      client.release();
      const left = isCancel ? 1 : 1201;
      await until('all is sent', () => relay.stats.promoted === 3 + left && pipe.offers.length === 3 + left);
      expect(pipe.bodies().slice(3)).toEqual([...(isCancel ? [] : many.map(({ body }) => body)), 'of a barred one']);
    },
  );
});
