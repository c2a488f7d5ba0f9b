/**
 * A service that writes events until SIGTERM, with the oracle's rows in the same transactions. Two ways, each with keys of
 * its own: in `transaction()`, where a row lock of the oracle's makes its numbers commit order before the event is
 * published; and with a pg client, where the event is published first and the number is drawn last, so that the oracle's
 * lock does nothing for the order of the outbox.
 */
import pg from 'pg';
import { publishAggregateEvents, transaction } from 'svc-comm';
import { Random, Zipf } from '../random.ts';

const env = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
const seed = env('FAULTS_SEED', 1);
const perSecond = env('FAULTS_RATE', 200);
const writers = env('FAULTS_WRITERS', 2);
const keys = env('FAULTS_KEYS', 500);
const longMs = env('FAULTS_LONG_MS', 500);
const longOneIn = env('FAULTS_LONG_ONE_IN', 50);
const poisonOneIn = env('FAULTS_POISON_ONE_IN', 100);
const failsOneIn = env('FAULTS_FAILS_ONE_IN', 100);
const unkeyedOneIn = env('FAULTS_UNKEYED_ONE_IN', 10);
const FILLER = 'x'.repeat(4096);

interface Entry {
  readonly kind: 'plain' | 'fails' | 'poison';
  readonly key: string | null;
  readonly filler: string;
}
interface Written {
  readonly ids: readonly string[];
  readonly keys: readonly (string | null)[];
  readonly kinds: readonly string[];
}
interface Trx {
  raw(sql: string, bindings: readonly unknown[]): Promise<{ rows: { key: string; seq: number }[] }>;
}
class RolledBackOnPurpose extends Error {}

const pool = new pg.Pool({ connectionString: process.env.FAULTS_DATABASE_URL, max: writers });
pool.on('error', () => undefined);
let isStopping = false;
process.on('SIGTERM', () => {
  isStopping = true;
});
// A run that is killed must not leave it waiting for servers that went with the run.
process.once('disconnect', () => process.exit(1));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Draws numbers for the keys, as many as each has events, and locks their rows until the transaction ends. */
const DRAW = `INSERT INTO oracle.key AS k (key, seq)
  SELECT key, count(*)::int FROM unnest($1::text[]) key WHERE key IS NOT NULL GROUP BY key ORDER BY key
  ON CONFLICT (key) DO UPDATE SET seq = k.seq + excluded.seq RETURNING key, seq`;
const RECORD = `INSERT INTO oracle.produced (event_id, key, seq, kind)
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[])`;

const event = (entry: Entry) => ({
  aggregate: 'ledger',
  eventType: `entry.${entry.kind}`,
  payload: entry,
  ...(entry.key === null ? {} : { key: entry.key }),
});

/** The numbers of the entries, the last drawn one going to a key's last entry. */
function numbers(
  entryKeys: readonly (string | null)[],
  drawn: readonly { key: string; seq: number }[],
): (number | null)[] {
  const next = new Map(drawn.map(({ key, seq }) => [key, seq]));
  return entryKeys
    .toReversed()
    .map((key) => {
      if (key === null) return null;
      const seq = next.get(key) ?? 0;
      next.set(key, seq - 1);
      return seq;
    })
    .reverse();
}

const writtenOf = (entries: readonly Entry[], events: readonly { eventId: string }[]): Written => ({
  ids: events.map(({ eventId }) => eventId),
  keys: entries.map(({ key }) => key),
  kinds: entries.map(({ kind }) => kind),
});
const toBindings = (sql: string): string => sql.replace(/\$\d/g, '?');

async function writeBuffered(entries: readonly Entry[], finish: () => Promise<void>): Promise<void> {
  await transaction(async (handle) => {
    const trx = handle as Trx;
    const entryKeys = entries.map(({ key }) => key);
    const { rows } = await trx.raw(toBindings(DRAW), [entryKeys]);
    const written = writtenOf(entries, await publishAggregateEvents(entries.map(event)));
    await trx.raw(toBindings(RECORD), [written.ids, written.keys, numbers(entryKeys, rows), written.kinds]);
    await finish();
  });
}

async function writeWithClient(entries: readonly Entry[], finish: () => Promise<void>): Promise<void> {
  const client = await pool.connect();
  let damage: Error | undefined;
  client.on('error', (error) => {
    damage = error;
  });
  try {
    await client.query('BEGIN');
    const written = writtenOf(entries, await publishAggregateEvents(entries.map(event), { transaction: client }));
    await finish();
    const { rows } = await client.query<{ key: string; seq: number }>(DRAW, [written.keys]);
    await client.query(RECORD, [written.ids, written.keys, numbers(written.keys, rows), written.kinds]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => {
      damage ??= failure;
    });
    throw error;
  } finally {
    client.release(damage);
  }
}

async function run(name: string, number: number, write: typeof writeBuffered): Promise<void> {
  const random = new Random(seed * 1009 + number);
  const zipf = new Zipf(keys, random);
  const entry = (): Entry => {
    const key = random.isOneIn(unkeyedOneIn) ? null : `${name}${zipf.next()}`;
    const isPoison = key === null && random.isOneIn(poisonOneIn);
    const kind = isPoison ? 'poison' : random.isOneIn(failsOneIn) ? 'fails' : 'plain';
    return { kind, key, filler: FILLER.slice(0, 150 + (random.isOneIn(10) ? random.below(3900) : random.below(200))) };
  };
  let dueMs = performance.now();
  while (!isStopping) {
    const entries = Array.from({ length: random.isOneIn(3) ? 1 + random.below(12) : 1 }, entry);
    const rollsBack = random.isOneIn(10);
    const isLong = random.isOneIn(longOneIn);
    try {
      await write(entries, async () => {
        if (isLong) await pause(longMs * (0.1 + 0.9 * random.next()));
        if (rollsBack) throw new RolledBackOnPurpose();
      });
      process.send?.(entries.length);
    } catch (error) {
      // Whether a commit arrived that met a dying server stands in the ledger, which is in the same transaction.
      if (!(error instanceof RolledBackOnPurpose)) await pause(100);
    }
    dueMs = Math.max(dueMs + (1000 * entries.length * 2 * writers) / perSecond, performance.now() - 2000);
    await pause(Math.max(0, dueMs - performance.now()));
  }
}

process.send?.('ready');
await Promise.all(
  Array.from({ length: writers }, (_, i) => [
    run('a', 2 * i, writeBuffered),
    run('b', 2 * i + 1, writeWithClient),
  ]).flat(),
);
await pool.end();
process.exit(0);
