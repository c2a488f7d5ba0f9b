import { BenchBroker, messageIds, publishConfirmed } from './broker.ts';
import { BenchDatabase } from './database.ts';
import { EVENT_TYPE } from './event.ts';
import { atMost, interleave, judge, median, type Row, type Run, type Side, timed } from './harness.ts';
import { outboxRelay } from './relay-ours.ts';
import { relaySketch } from './relay-sketch.ts';

export const head = `
20,000 rows, committed at once, to a quorum queue. Ours: 'svc-comm runpublisher' with its defaults (batches of 500, 1,000
unconfirmed), from the commit to the last row deleted. Publish only: amqplib's callback window with the same bodies and no
database at all. Sketch: one process alone that reads by cursor, publishes and deletes, without keys, leases, failures or
late commits. One key: 500 rows of it, of which one is unconfirmed at a time, beside amqplib that awaits each confirm: the
ceiling of a hot key. VACUUM between runs, outside of the time.
Cheating would be: deleting before the confirm, synchronous_commit off, unlogged tables, fewer bytes.`;

const COUNT = Number(process.env.SVC_COMM_BENCH_RELAY_ROWS ?? 20_000);
const KEYS = 10_000;
const HOT_ROWS = 500;

export async function run(rounds: number): Promise<Row[]> {
  const broker = await BenchBroker.open('relay');
  const database = await BenchDatabase.open('relay');
  const queue = await broker.queue(broker.name);
  const [reader, deleter] = await database.clients(2);
  if (!reader || !deleter) throw new Error('no clients');
  const relay = await outboxRelay(broker, database);

  const side = (name: string, once: () => Promise<Run>): Side => ({
    name,
    async run() {
      await broker.channel.purgeQueue(queue);
      return once();
    },
  });
  const sketch = async () => {
    await database.pool.query(`VACUUM ${relay.outbox}`);
    await relay.fill(COUNT, 0);
    return timed(COUNT, () => relaySketch(broker, [reader, deleter], relay.outbox, COUNT));
  };
  const oneAtATime = async () => {
    for (const id of messageIds(HOT_ROWS)) await publishConfirmed(broker, EVENT_TYPE, broker.body, id);
  };
  try {
    const sides = [
      side('publish only', () => timed(COUNT, () => broker.publish(COUNT))),
      side('sketch', sketch),
      side('relay, no keys', () => relay.run(COUNT, 0)),
      side('relay, 10,000 keys', () => relay.run(COUNT, KEYS)),
      side('publish, one at a time', () => timed(HOT_ROWS, oneAtATime)),
      side('relay, one key', () => relay.run(HOT_ROWS, 1)),
    ];
    const figures = await interleave(sides, rounds);
    const bench = 'relay, 20,000 rows';
    const noKeys = { bench, ours: 'relay, no keys' };
    const rows = [
      ...judge(figures, { ...noKeys, beside: 'publish only', throughput: 0.8 }),
      ...judge(figures, { ...noKeys, beside: 'sketch', throughput: 0.97 }),
      ...judge(figures, { bench, ours: 'relay, 10,000 keys', beside: 'relay, no keys', throughput: 0.8 }),
      ...judge(figures, { bench, ours: 'relay, one key', beside: 'publish, one at a time', throughput: 0 }),
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
    await relay.close();
    await database.close();
    await broker.close();
  }
}
