import { postgresBinaries } from '../test/support/servers/binaries.ts';
import { startOwnPostgres } from '../test/support/servers/own-postgres.ts';
import { BenchBroker } from './broker.ts';
import { BenchDatabase } from './database.ts';
import { type Figure, interleave, judge, median, type Row, type Run, type Side } from './harness.ts';
import { bossRelay, PG_BOSS } from './relay-boss.ts';
import { outboxRelay } from './relay-ours.ts';
import { PG_TRANSACTIONAL_OUTBOX, transactionalOutboxRelay, type Way } from './relay-transactional-outbox.ts';

export const head = `
All: rows of an event of 987 bytes, committed at once, published with confirms to one quorum queue over the same kind of channel
(persistent, mandatory, the same properties), from the commit to the last row marked as done; synchronous_commit and fsync on.
Each in its fastest setting. Ours: 'svc-comm runpublisher' with its defaults, 20,000 rows, no keys. pg-boss: 20,000 jobs, 4
workers that fetch 1,000 at a time, publish them all at once and complete them, no priorities, its maintenance off.
pg-transactional-outbox: 1,000 messages (it gets slower with every one that waits), polling in whole batches of 100 that may
go in parallel, and by logical replication with full concurrency; 20 connections, its guards and clean-up off; judged by the faster of the two.
A PostgreSQL of its own, where there are binaries: replication needs wal_level = logical; without them polling alone.
Peers by npm ci --prefix bench. Celery and Django are Python's: not measured.
Cheating would be: deleting or completing before the confirm, transient messages, more rows for a peer that they slow down.`;

const ROWS = Number(process.env.SVC_COMM_BENCH_RELAY_ROWS ?? 20_000);
const FEW_ROWS = Number(process.env.SVC_COMM_BENCH_RELAY_PEER_ROWS ?? 1_000);
const OURS = 'relay, no keys';
const BOSS = 'pg-boss';
const BENCH = 'relay, beside peers';

/** A relay of a peer: `run` moves so many rows. */
interface PeerRelay {
  run(count: number): Promise<Run>;
  stop(): Promise<void>;
}

export async function run(rounds: number): Promise<Row[]> {
  const isThere = { boss: PG_BOSS.isThere(), outbox: PG_TRANSACTIONAL_OUTBOX.isThere() };
  if (!isThere.boss && !isThere.outbox) return [];
  const settings = { wal_level: 'logical', autovacuum: 'off', shared_buffers: '128MB' };
  const server = (await postgresBinaries()) ? await startOwnPostgres({ settings }) : undefined;
  const broker = await BenchBroker.open('relay_peers');
  const queue = await broker.queue(broker.name);
  const database = await BenchDatabase.open('relay_peers', server?.url);
  const ours = await outboxRelay(broker, database);
  const open: PeerRelay[] = [];
  const opened = async (relay: Promise<PeerRelay>): Promise<PeerRelay> => {
    open.push(await relay);
    return relay;
  };
  const side = (name: string, once: () => Promise<Run>): Side => ({
    name,
    async run() {
      await broker.channel.purgeQueue(queue);
      return once();
    },
  });
  try {
    const sides = [side(OURS, () => ours.run(ROWS, 0))];
    if (isThere.boss) {
      const boss = await opened(bossRelay(broker, database));
      sides.push(side(BOSS, () => boss.run(ROWS)));
    }
    const ways: Way[] = isThere.outbox ? ['polling', ...(server ? (['replication'] as const) : [])] : [];
    for (const way of ways) {
      const relay = await opened(transactionalOutboxRelay(broker, database, way));
      sides.push(side(outboxSide(way), () => relay.run(FEW_ROWS)));
    }
    const figures = await interleave(sides, rounds);
    const rows = isThere.boss ? judge(figures, { bench: BENCH, ours: OURS, beside: BOSS, throughput: 1.25 }) : [];
    const fastest = ways.map(outboxSide).toSorted((a, b) => rate(figures, b) - rate(figures, a));
    return [
      ...rows,
      ...fastest.flatMap((beside, i) => judge(figures, { bench: BENCH, ours: OURS, beside, throughput: i ? 0 : 15 })),
    ];
  } finally {
    await ours.close();
    for (const relay of open) await relay.stop();
    await database.close();
    await broker.close();
    await server?.remove();
  }
}

const outboxSide = (way: Way): string => `pg-transactional-outbox, ${way}`;

const rate = (figures: Map<string, Figure[]>, name: string): number =>
  median((figures.get(name) ?? []).map(({ perSecond }) => perSecond));
