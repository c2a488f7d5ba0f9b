import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LeaseGrant } from '../../src/outbox/lease-grant.ts';
import { prepareReadBatch } from '../../src/outbox/sql/read-batch.ts';
import { CONFIRMED, insertSql, RecordingPipe, type RelayKit, relayKit, until } from '../support/relay-kit.ts';

let kit: RelayKit;
beforeAll(async () => {
  kit = await relayKit('relay_order');
});
afterAll(() => kit.close());
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  await kit.db.pg.query(`TRUNCATE ${kit.db.table('svc_comm_outbox')}`);
});
const empty = async () => (await kit.db.count('svc_comm_outbox')) === 0;
const refused = { kind: 'refused', error: new Error('no exchange') } as const;

async function started(pipe: RecordingPipe, options = {}) {
  const made = kit.relay(pipe, options);
  stops.push(() => made.relay.stop());
  await made.relay.start();
  return made;
}

/** A transaction that has written rows and is still open. */
async function openInsert(rows: readonly object[]): Promise<{ commit(): Promise<void> }> {
  const client = await kit.db.pg.connect();
  await client.query('BEGIN');
  await client.query(insertSql(kit.db.table('svc_comm_outbox')), [JSON.stringify(rows)]);
  return {
    async commit() {
      await client.query('COMMIT');
      client.release();
    },
  };
}

describe('the order of a relay', () => {
  it('sends a row that was committed late before the later ones of its key, whose ids were read already', async () => {
    for (let round = 0; round < 5; round++) {
      const late = await openInsert([{ key: 'slow', body: 'first' }]);
      await kit.insert(Array.from({ length: 3000 }, (_, n) => ({ key: `other${n % 300}`, body: 'x' })));
      const pipe = new RecordingPipe();
      const { relay } = await started(pipe, { batchSize: 100 });
      await until('it is in the middle of the table', () => pipe.offers.length > 500);
      await late.commit();
      await kit.insert([{ key: 'slow', body: 'second' }]);
      await until('all is gone', empty);
      expect(pipe.bodies().filter((body) => body !== 'x')).toEqual(['first', 'second']);
      await relay.stop();
    }
  });

  it('lets a failing row hold its own key only, also after a takeover', async () => {
    const pipe = new RecordingPipe();
    pipe.decide = ({ body }) => (Buffer.from(body).toString() === 'bad' ? refused : CONFIRMED);
    const first = await started(pipe);
    await kit.insert([
      { key: 'a', body: 'bad' },
      { key: 'a', body: 'behind' },
      { key: 'b', body: 'b1' },
      { key: 'b', body: 'b2' },
      { body: 'free' },
    ]);
    await until('the failure is recorded', async () => (await kit.db.count('svc_comm_outbox', 'attempts > 0')) === 1);
    await until('the others are gone', async () => (await kit.db.count('svc_comm_outbox')) === 2);
    await kit.db.pg.query(
      `UPDATE ${kit.db.table('svc_comm_outbox')} SET next_attempt_at = clock_timestamp() + interval '1 hour' WHERE attempts > 0`,
    );
    await first.relay.stop();
    expect(pipe.bodies().sort()).toEqual(['b1', 'b2', 'bad', 'free']);

    const heir = new RecordingPipe();
    await started(heir);
    await kit.insert([
      { key: 'a', body: 'behind too' },
      { key: 'c', body: 'c1' },
    ]);
    await until('the heir sends', () => heir.offers.length > 0);
    await until('the heir has nothing to do', () => kit.db.count('svc_comm_outbox').then((n) => n === 3));
    expect(heir.bodies()).toEqual(['c1']);
    await kit.db.pg.query(
      `UPDATE ${kit.db.table('svc_comm_outbox')} SET next_attempt_at = clock_timestamp() WHERE attempts > 0`,
    );
    await until('all is gone', empty);
    expect(heir.bodies()).toEqual(['c1', 'bad', 'behind', 'behind too']);
  });

  it('doubles the back-off of a refused row and keeps what the broker said', async () => {
    const pipe = new RecordingPipe();
    pipe.decide = () => refused;
    const { relay } = await started(pipe);
    await kit.insert([{ key: 'a' }]);
    await until('it failed twice', () => pipe.offers.length === 2);
    await until('that is recorded', async () => (await kit.db.count('svc_comm_outbox', 'attempts = 2')) === 1);
    const { rows } = await kit.db.pg.query(
      `SELECT last_error, extract(epoch FROM next_attempt_at - clock_timestamp())::float8 AS wait FROM ${kit.db.table('svc_comm_outbox')}`,
    );
    expect(rows[0].last_error).toBe('no exchange');
    expect(rows[0].wait).toBeGreaterThan(0.8);
    expect(rows[0].wait).toBeLessThanOrEqual(2);
    expect(relay.stats.refused).toBe(2);
    const [one, two] = pipe.offers;
    expect((two?.atMs ?? 0) - (one?.atMs ?? 0)).toBeGreaterThan(490);
  });

  it('sends whatever its outcomes each key in order, when one message in ten fails and one in ten is unknown', async () => {
    const pipe = new RecordingPipe();
    const kinds = ['refused', 'unknown'] as const;
    pipe.decide = () => {
      const kind = kinds[Math.floor(Math.random() * 20)];
      return kind ? { kind, error: new Error(kind) } : CONFIRMED;
    };
    const confirmed: string[] = [];
    pipe.onOffer = () => undefined;
    const decide = pipe.decide;
    pipe.decide = (message) => {
      const outcome = decide(message);
      if (outcome?.kind === 'confirmed') confirmed.push(Buffer.from(message.body).toString());
      return outcome;
    };
    await started(pipe, { maxBackoffMs: 1000, batchSize: 50 });
    const insert = (from: number) =>
      kit.insert(Array.from({ length: 100 }, (_, n) => ({ key: `k${n % 7}`, body: `k${n % 7}:${from + n}` })));
    for (let from = 0; from < 600; from += 100) await insert(from);
    // whatever backs off is due at once, so that the test is short
    await until(
      'all is gone',
      async () => {
        await kit.db.pg.query(
          `UPDATE ${kit.db.table('svc_comm_outbox')} SET next_attempt_at = clock_timestamp() WHERE next_attempt_at > clock_timestamp()`,
        );
        return await empty();
      },
      20_000,
    );
    for (let key = 0; key < 7; key++) {
      const order = confirmed.filter((body) => body.startsWith(`k${key}:`)).map((body) => Number(body.split(':')[1]));
      expect(order).toEqual([...order].sort((a, b) => a - b));
    }
    expect(confirmed).toHaveLength(600);
  });

  it('reads by one timestamp: no follower passes when its back-off ends within the statement', async () => {
    const connection = await kit.connect();
    try {
      const read = prepareReadBatch(kit.db.schema);
      const [p, q] = await kit.insert([{ key: 'a' }, { key: 'a' }]);
      const parts = Array.from({ length: 64 }, (_, n) => n);
      const all = { after: 0, parts, held: [], skippedKeys: '{}', limit: 10, maxBytes: 1e6 };
      await kit.db.pg.query(
        `UPDATE ${kit.db.table('svc_comm_outbox')} SET next_attempt_at = clock_timestamp() + interval '1 hour' WHERE id = $1`,
        [p],
      );
      expect(await read(connection, all)).toEqual([]);
      await kit.db.pg.query(
        `UPDATE ${kit.db.table('svc_comm_outbox')} SET next_attempt_at = clock_timestamp() WHERE id = $1`,
        [p],
      );
      expect((await read(connection, all)).map((row) => row.id)).toEqual([p, q]);
      // due, but before the place where this read begins: it still holds its follower
      expect(await read(connection, { ...all, after: Number(p) })).toEqual([]);
      expect((await read(connection, { ...all, held: [Number(p)] })).map((row) => row.id)).toEqual([q]);
    } finally {
      await connection.close();
    }
  });

  it('takes no more bytes at once than it may hold, but at least one row', async () => {
    const connection = await kit.connect();
    try {
      const read = prepareReadBatch(kit.db.schema);
      await kit.insert(Array.from({ length: 5 }, () => ({ body: 'x'.repeat(1000) })));
      const parts = Array.from({ length: 64 }, (_, n) => n);
      const batch = { after: 0, parts, held: [], skippedKeys: '{}', limit: 10 };
      expect(await read(connection, { ...batch, maxBytes: 10 })).toHaveLength(1);
      expect(await read(connection, { ...batch, maxBytes: 2500 })).toHaveLength(3);
      expect(new LeaseGrant(0, '1', 0).isLive(1)).toBe(false);
    } finally {
      await connection.close();
    }
  });
});
