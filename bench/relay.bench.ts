import { setTimeout as sleep } from 'node:timers/promises';
import { BenchBroker } from './broker.ts';
import { compiled } from './compiled.ts';
import { BenchDatabase } from './database.ts';
import { EVENT_TYPE } from './event.ts';
import { atMost, interleave, judge, median, type Row, type Run, type Side, Stopwatch, timed } from './harness.ts';
import { relaySketch } from './relay-sketch.ts';

export const head = `
20,000 rows, committed at once, to a quorum queue. Ours: 'svc-comm runpublisher' with its defaults (batches of 500, 1,000
unconfirmed), from the commit to the last row deleted. Publish only: amqplib's callback window with the same bodies and no
database at all. Sketch: one process alone that reads by cursor, publishes and deletes, without keys, leases, failures or
late commits. VACUUM between runs, outside of the time.
Cheating would be: deleting before the confirm, synchronous_commit off, unlogged tables, fewer bytes.`;

const COUNT = Number(process.env.SVC_COMM_BENCH_RELAY_ROWS ?? 20_000);
const KEYS = 10_000;

export async function run(rounds: number): Promise<Row[]> {
  const { createService } = await compiled('index');
  const broker = await BenchBroker.open('relay');
  const database = await BenchDatabase.open('relay');
  const queue = await broker.queue(broker.name);
  const outbox = database.table('svc_comm_outbox');
  const [reader, deleter] = await database.clients(2);
  if (!reader || !deleter) throw new Error('no clients');
  const appId = broker.name;
  const settings = { appId, brokerUrl: broker.url, databaseUrl: database.url, schema: database.schema };
  const service = createService({ ...settings, logLevel: 'error' });

  const clear = async () => {
    await broker.channel.purgeQueue(queue);
    await database.pool.query(`VACUUM ${outbox}`);
  };
  const fill = (keys: number) =>
    database.pool.query(
      `INSERT INTO ${outbox} (part, order_key, message_id, exchange, routing_key, body, app_id)
       SELECT hashtext(coalesce(k, $1)) & 63, k, gen_random_uuid(), $1, $2, $3, 'bench'
         FROM (SELECT CASE WHEN $4 > 0 THEN 'k' || floor(random() * $4) END AS k FROM generate_series(1, $5::int)) s`,
      [broker.name, EVENT_TYPE, broker.body.toString(), keys, COUNT],
    );
  const ours = (name: string, keys: number): Side => ({
    name,
    async run() {
      await clear();
      const relay = service.relay();
      await relay.start();
      await sleep(PARKING_MS);
      const watch = new Stopwatch();
      const backends = `${appId} %`;
      const before = await database.cpuMs(backends);
      await fill(keys);
      watch.start();
      while (relay.stats.deleted < COUNT) await sleep(2);
      const result: Run = watch.stop(COUNT);
      const after = await database.cpuMs(backends);
      await relay.stop();
      if (relay.stats.published !== COUNT) throw new Error(`published ${relay.stats.published} of ${COUNT}`);
      return { ...result, otherCpuMs: before === undefined || after === undefined ? undefined : after - before };
    },
  });
  const sketch: Side = {
    name: 'sketch',
    async run() {
      await clear();
      await fill(0);
      return timed(COUNT, () => relaySketch(broker, [reader, deleter], outbox, COUNT));
    },
  };
  const publishOnly: Side = {
    name: 'publish only',
    async run() {
      await clear();
      return timed(COUNT, () => broker.publish(COUNT));
    },
  };
  try {
    const sides = [publishOnly, sketch, ours('relay, no keys', 0), ours('relay, 10,000 keys', KEYS)];
    const figures = await interleave(sides, rounds);
    const bench = 'relay, 20,000 rows';
    const noKeys = { bench, ours: 'relay, no keys' };
    const rows = [
      ...judge(figures, { ...noKeys, beside: 'publish only', throughput: 0.8 }),
      ...judge(figures, { ...noKeys, beside: 'sketch', throughput: 0.97 }),
      ...judge(figures, { bench, ours: 'relay, 10,000 keys', beside: 'relay, no keys', throughput: 0.8 }),
    ];
    const own = figures.get('relay, no keys') ?? [];
    const perEvent = (figure: string, us: number, wanted: number): Row => ({
      ...noKeys,
      beside: '',
      figure,
      value: us,
      unit: 'us',
      ...atMost(wanted, us),
    });
    rows.push(perEvent('own CPU an event', median(own.map((f) => f.cpuUs)), 30));
    const database = own.map((f) => f.otherCpuUs).filter((us) => us !== undefined);
    if (database.length > 0) rows.push(perEvent('PostgreSQL CPU an event', median(database), 15));
    return rows;
  } finally {
    await service.close();
    await database.close();
    await broker.close();
  }
}

/** Until the relay has found nothing for a while, and waits to be notified. */
const PARKING_MS = 300;
