import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectDatabase, type DatabaseConnection } from '../../src/database/connection.ts';
import { DatabaseAccessRefusedError, DatabaseUnavailableError, MigrationRequiredError } from '../../src/errors.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { Relay } from '../../src/outbox/relay.ts';
import { prepareDeleteConfirmed } from '../../src/outbox/sql/delete-confirmed.ts';
import { LogLines } from '../support/broker-kit.ts';
import { CONFIRMED, RecordingPipe, type RelayKit, relayKit, until } from '../support/relay-kit.ts';
import { stressService } from '../support/start-stop-stress.ts';

let kit: RelayKit;
beforeAll(async () => {
  kit = await relayKit('relay_lease');
});
afterAll(() => kit.close());
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  await kit.db.pg.query(`TRUNCATE ${kit.db.table('svc_comm_outbox')}`);
  await kit.db.pg.query(
    `UPDATE ${kit.db.table('svc_comm_relay_lease')} SET owner = NULL, until = '-infinity', parked = false`,
  );
  await kit.db.pg.query(`TRUNCATE ${kit.db.table('svc_comm_relay')}`);
});
const empty = async () => (await kit.db.count('svc_comm_outbox')) === 0;
const rowsOf = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ key: `k${n % 40}`, body: `k${n % 40}:${n}` }));
const made = (pipe: RecordingPipe, options = {}) => {
  const relay = kit.relay(pipe, options);
  stops.push(() => relay.relay.stop());
  return relay;
};

/** Pipes for several relays, and what they all sent, in its order. */
function recording() {
  const sent: { body: string; id: string }[] = [];
  const pipeOf = () => {
    const pipe = new RecordingPipe();
    pipe.onOffer = ({ message }) => {
      sent.push({ body: Buffer.from(message.body).toString(), id: String(message.properties.messageId) });
    };
    return pipe;
  };
  return { sent, pipeOf };
}

describe('relays together', () => {
  it('share the partitions, and hand them over without sending anything twice or out of order', async () => {
    const { sent, pipeOf } = recording();
    const [one, two, three] = [made(pipeOf()), made(pipeOf()), made(pipeOf())];
    await one.relay.start();
    expect(one.relay.partitions).toHaveLength(64);
    let isFeeding = true;
    const feed = (async () => {
      for (let n = 0; isFeeding; n += 200)
        await kit.insert(
          rowsOf(200).map((row) => ({ ...row, body: `${row.key}:${n + Number(row.body.split(':')[1])}` })),
        );
    })();
    await two.relay.start();
    await until('two share', () => one.relay.partitions.length === 32 && two.relay.partitions.length === 32);
    await three.relay.start();
    await until('three share', () =>
      [one, two, three].every(({ relay }) => relay.partitions.length >= 20 && relay.partitions.length <= 22),
    );
    const before = performance.now();
    await one.relay.stop();
    await until('the others have them', () => two.relay.partitions.length + three.relay.partitions.length === 64);
    expect(performance.now() - before).toBeLessThan(2500);
    isFeeding = false;
    await feed;
    await until('all is gone', empty);
    expect(new Set(sent.map(({ id }) => id)).size).toBe(sent.length);
    for (let key = 0; key < 40; key++) {
      const order = sent
        .filter(({ body }) => body.startsWith(`k${key}:`))
        .map(({ body }) => Number(body.split(':')[1]));
      expect(order).toEqual([...order].sort((a, b) => a - b));
    }
  });

  it('take over from one that died within its lease and two seconds; every row is published, each key in order', async () => {
    const leaseMs = 2000;
    const first = new RecordingPipe();
    const second = new RecordingPipe();
    const [dying, heir] = [made(first, { leaseMs, drainMs: 0 }), made(second, { leaseMs })];
    await dying.relay.start();
    await heir.relay.start();
    await until('two share', () => dying.relay.partitions.length === 32 && heir.relay.partitions.length === 32);
    // the one that dies never hears a confirm: its rows stay in flight
    first.decide = () => undefined;
    await kit.insert(rowsOf(2000));
    await until('some are in flight', () => first.inFlight >= 10);
    const inFlight = first.inFlight;
    await dying.kill();
    const diedAt = performance.now();
    await until('all is gone', empty, leaseMs + 2000);
    const tookMs = performance.now() - diedAt;
    console.info(
      `takeover: all gone ${Math.round(tookMs)} ms after the death, ${inFlight} in flight, lease ${leaseMs} ms`,
    );
    expect(heir.relay.partitions).toHaveLength(64);
    const all = new Set(second.bodies());
    for (const body of first.bodies()) expect(all.has(body)).toBe(true);
    expect(all.size).toBe(2000);
    expect(second.offers).toHaveLength(2000);
    for (let key = 0; key < 40; key++) {
      const order = second
        .bodies()
        .filter((body) => body.startsWith(`k${key}:`))
        .map((body) => Number(body.split(':')[1]));
      expect(order).toEqual([...order].sort((a, b) => a - b));
    }
    // what the dead one hears now deletes nothing and sends nothing
    const offered = first.offers.length;
    for (const offer of first.offers) offer.settle(CONFIRMED);
    expect(first.offers).toHaveLength(offered);
  });

  it('stop publishing when the lease cannot be renewed, before another may take over', async () => {
    const pipe = new RecordingPipe();
    const { relay } = made(pipe, { leaseMs: 3000 });
    await relay.start();
    // somebody holds the rows of the leases: renewals wait, and end by their lock timeout
    const client = await kit.db.pg.connect();
    const lease = kit.db.table('svc_comm_relay_lease');
    const hold = async () => {
      await client.query('BEGIN');
      await client.query(`SELECT 1 FROM ${lease} FOR UPDATE`);
      await until('no partition is held any more', () => relay.partitions.length === 0);
      const count = `SELECT count(*)::int AS mine FROM ${lease} WHERE until > clock_timestamp()`;
      return (await kit.db.pg.query(count)).rows[0].mine;
    };
    try {
      let mine = await hold();
      // A machine that stands still between the two asks too late what was in time: a relay that is late is so each time.
      for (let again = 0; mine < 64 && again < 4; again += 1) {
        await client.query('COMMIT');
        await until('it has them again', () => relay.partitions.length === 64);
        mine = await hold();
      }
      expect(mine).toBe(64);
      const offered = pipe.offers.length;
      await kit.insert(rowsOf(50));
      expect(pipe.offers).toHaveLength(offered);
      await client.query('COMMIT');
    } finally {
      // With what it had left open, for which the next test would wait.
      client.release(true);
    }
    await until('it goes on', empty);
    expect(relay.partitions).toHaveLength(64);
  });

  it('keep their partitions by renewing them in time, also with the shortest lease', async () => {
    const leaseMs = 1000;
    const { relay } = made(new RecordingPipe(), { leaseMs });
    await relay.start();
    const { rows } = await kit.db.pg.query(`SELECT clock_timestamp() + interval '5 s' AS after`);
    const isRenewed = `SELECT min(until) > $1 AS renewed FROM ${kit.db.table('svc_comm_relay_lease')}`;
    let gaps = 0;
    let held = relay.partitions.length;
    const began = performance.now();
    await until('the leases have been renewed for four seconds', async () => {
      if (held > 0 && relay.partitions.length === 0) gaps += 1;
      held = relay.partitions.length;
      return (await kit.db.pg.query(isRenewed, [rows[0].after])).rows[0].renewed;
    });
    // A machine that stood still for half a second may have cost some; renewals that come too late cost one a second.
    expect(gaps).toBeLessThan((0.6 * (performance.now() - began)) / 1000);
  });

  it('delete nothing under an epoch that has passed', async () => {
    const db = await kit.connect();
    try {
      const me = '00000000-0000-7000-8000-000000000001';
      const [id = ''] = await kit.insert([{ key: 'a' }]);
      const lease = kit.db.table('svc_comm_relay_lease');
      await kit.db.pg.query(
        `UPDATE ${lease} SET owner = $1, epoch = 8, until = clock_timestamp() + interval '1 minute'`,
        [me],
      );
      const remove = prepareDeleteConfirmed(kit.db.schema);
      const { rows } = await kit.db.pg.query(`SELECT part, message_id FROM ${kit.db.table('svc_comm_outbox')}`);
      const [{ part, message_id: messageId }] = rows;
      const under = (epoch: string) => [{ id: Number(id), messageId, grant: { part, epoch } }];
      expect(await remove.all(db, under('7'), me)).toBe(0);
      expect(await remove.all(db, under('8'), '00000000-0000-7000-8000-000000000002')).toBe(0);
      expect(await remove.unlocked(db, under('7'), me)).toEqual({
        deleted: 0,
        locked: new Set(),
      });
      expect(await kit.db.count('svc_comm_outbox')).toBe(1);
      expect(await remove.all(db, under('8'), me)).toBe(1);
    } finally {
      await db.close();
    }
  });

  it('delete the others of a batch while somebody holds locks on some rows', async () => {
    const pipe = new RecordingPipe();
    const { relay } = made(pipe);
    const ids = await kit.insert(rowsOf(50));
    const client = await kit.db.pg.connect();
    try {
      await client.query('BEGIN');
      await client.query(`SELECT 1 FROM ${kit.db.table('svc_comm_outbox')} WHERE id = $1 FOR UPDATE`, [ids[3]]);
      await relay.start();
      await until('the others are gone', async () => (await kit.db.count('svc_comm_outbox')) === 1);
      await kit.insert(rowsOf(50));
      await until('later ones go as well', async () => (await kit.db.count('svc_comm_outbox')) === 1);
    } finally {
      await client.query('COMMIT');
      client.release();
    }
    await until('all is gone', empty);
    expect(pipe.offers).toHaveLength(100);
    expect(relay.stats).toMatchObject({ deleted: 100, fencedOut: 0 });
  });

  it('hand over partitions of which somebody holds the lock of a row that was sent: it goes out once more, each key stays in order', async () => {
    const leaseMs = 3000;
    const { sent, pipeOf } = recording();
    const outbox = kit.db.table('svc_comm_outbox');
    const [one, two] = [made(pipeOf(), { leaseMs }), made(pipeOf(), { leaseMs })];
    const keys = Array.from({ length: 400 }, (_, n) => ({ key: `k${n}`, body: `k${n}:0` }));
    await kit.insert(keys);
    const holder = await kit.db.pg.connect();
    let locked: { message_id: string }[] = [];
    try {
      await holder.query('BEGIN');
      const oneOfEach = `SELECT min(id) FROM ${outbox} GROUP BY part`;
      locked = (await holder.query(`SELECT message_id FROM ${outbox} WHERE id IN (${oneOfEach}) FOR UPDATE`)).rows;
      expect(locked).toHaveLength(64);
      await one.relay.start();
      await until('the others are gone', async () => (await kit.db.count('svc_comm_outbox')) === 64);
      await two.relay.start();
      await until('two share', () => one.relay.partitions.length === 32 && two.relay.partitions.length === 32);
      await kit.insert(keys.map(({ key }) => ({ key, body: `${key}:1` })));
      await until('what came later goes out', async () => (await kit.db.count('svc_comm_outbox')) === 64);
    } finally {
      await holder.query('ROLLBACK');
      holder.release();
    }
    await until('all is gone', empty);
    const ids = sent.map(({ id }) => id);
    expect(new Set(ids).size).toBe(800);
    const again = ids.filter((id, n) => ids.indexOf(id) < n);
    expect(locked.map(({ message_id }) => message_id)).toEqual(expect.arrayContaining(again));
    expect(again.length).toBeGreaterThanOrEqual(32);
    for (const { key } of keys) {
      const first = sent.findIndex(({ body }) => body === `${key}:0`);
      expect(sent.findIndex(({ body }) => body === `${key}:1`)).toBeGreaterThan(first);
    }
  });

  it('keep the share of those that live when the clock of the database steps back to before one died', async () => {
    const schema = `${kit.db.schema}_clock`;
    const role = `${kit.db.schema}_role`;
    const relays = kit.db.table('svc_comm_relay');
    await kit.db.pg.query(`
      CREATE SCHEMA ${schema};
      CREATE TABLE ${schema}.step (back interval); INSERT INTO ${schema}.step VALUES ('0');
      CREATE FUNCTION ${schema}.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT pg_catalog.clock_timestamp() - back FROM ${schema}.step';
      CREATE ROLE ${role} LOGIN SUPERUSER;
      ALTER ROLE ${role} SET search_path = ${schema}, pg_catalog;`);
    const url = new URL(kit.db.url);
    url.username = role;
    const relay = new Relay({
      connect: ({ name, settings }) => connectDatabase({ url: url.href, applicationName: name, settings }),
      pipe: new RecordingPipe(),
      schema: kit.db.schema,
      logger: silentLogger,
      options: { leaseMs: 1000 },
    });
    stops.push(async () => {
      await relay.stop();
      await kit.db.pg.query(`DROP SCHEMA ${schema} CASCADE; DROP ROLE ${role}`);
    });
    await kit.db.pg.query(`
      INSERT INTO ${relays} SELECT gen_random_uuid(), clock_timestamp() - n * interval '1 minute' FROM generate_series(1, 15) n`);
    await relay.start();
    expect(relay.partitions).toHaveLength(64);
    await kit.db.pg.query(`UPDATE ${schema}.step SET back = '30 minutes'`);
    const { rows } = await kit.db.pg.query(`SELECT ${schema}.clock_timestamp() AS stepped`);
    await until('it has looked again, and beaten behind that', async () => {
      const beats = `SELECT 1 FROM ${relays} WHERE until BETWEEN $1::timestamptz + interval '3 s' AND $1::timestamptz + interval '9 s'`;
      return (await kit.db.pg.query(beats, [rows[0].stepped])).rowCount === 1;
    });
    expect(relay.partitions).toHaveLength(64);
  });

  it('survive the loss of every connection, and publish nothing twice that was confirmed before', async () => {
    const pipe = new RecordingPipe();
    const { relay } = made(pipe);
    await relay.start();
    for (let round = 0; round < 5; round++) {
      await kit.insert(rowsOf(200));
      await kit.db.pg.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE $1', [
        `${kit.db.schema} svc-comm%`,
      ]);
    }
    await until('all is gone', empty);
    expect(relay.stats.reconnects).toBeGreaterThanOrEqual(3);
    expect(pipe.offers).toHaveLength(1000);
    expect(relay.state).toBe('running');
  });

  it('start, stop and start again, twice and crossing, and leave no lease and no connection', async () => {
    const pipe = new RecordingPipe();
    const { relay } = made(pipe);
    await Promise.all([relay.start(), relay.start()]);
    await kit.insert(rowsOf(100));
    await Promise.all([relay.stop(), relay.stop()]);
    const starting = relay.start().catch((error: unknown) => error);
    await relay.stop();
    await starting;
    await relay.start();
    await until('all is gone', empty);
    await relay.stop();
    expect(await kit.db.count('svc_comm_relay_lease', 'owner IS NOT NULL')).toBe(0);
    expect(await kit.db.count('svc_comm_relay')).toBe(0);
    await until('connections are gone', async () => {
      const { rows } = await kit.db.pg.query('SELECT 1 FROM pg_stat_activity WHERE application_name LIKE $1', [
        `${kit.db.schema} svc-comm%`,
      ]);
      return rows.length === 0;
    });
    expect(pipe.offers).toHaveLength(100);
  });

  it('keep the word of a service when started and stopped in any order', async () => {
    await stressService(() => made(new RecordingPipe(), { drainMs: 100 }).relay, 60);
    expect(await kit.db.count('svc_comm_relay_lease', 'owner IS NOT NULL')).toBe(0);
  });

  it('say at the start what is wrong: a missing table, no right on it, wrong credentials, a database that is down', async () => {
    const log = new LogLines();
    const start = (connect: () => Promise<DatabaseConnection>, schema = kit.db.schema) =>
      new Relay({ connect, pipe: new RecordingPipe(), schema, logger: log, wait: false }).start();
    const at = (change: (url: URL) => void) => {
      const url = new URL(kit.db.url);
      change(url);
      return () => connectDatabase({ url: url.href });
    };
    await expect(
      start(
        at(() => undefined),
        'no_such_schema',
      ),
    ).rejects.toBeInstanceOf(MigrationRequiredError);
    const role = `${kit.db.schema}_weak`;
    await kit.db.pg.query(`CREATE ROLE ${role} LOGIN`);
    try {
      await expect(
        start(
          at((url) => {
            url.username = role;
          }),
        ),
      ).rejects.toMatchObject({ code: 'SVC_COMM_DATABASE_RIGHTS', message: expect.stringContaining('GRANT') });
    } finally {
      await kit.db.pg.query(`DROP ROLE ${role}`);
    }
    await expect(
      start(
        at((url) => {
          url.pathname = '/no_such_database';
        }),
      ),
    ).rejects.toBeInstanceOf(DatabaseAccessRefusedError);
    await expect(
      start(
        at((url) => {
          url.port = '1';
        }),
      ),
    ).rejects.toBeInstanceOf(DatabaseUnavailableError);
    // Nor anything else before it that somebody would look into first.
    expect(log.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });
});
