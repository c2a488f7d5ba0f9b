// A producer of a peer: commits, then publishes with confirms, and tries a publish that failed five times in all; or, with
// a library that has an outbox, writes to it, and relay.mjs does the rest. One transaction in ten is rolled back, and nothing of it
// is published.
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { Random, Zipf } from '../random.ts';
import { ADAPTERS } from './adapters.mjs';

const { FAULTS_PEER, FAULTS_BROKER_URL, FAULTS_DATABASE_URL } = process.env;
const env = (name, otherwise) => Number(process.env[name] ?? otherwise);
const random = new Random(env('FAULTS_SEED', 1));
const zipf = new Zipf(env('FAULTS_KEYS', 500), random);
const perSecond = env('FAULTS_RATE', 200);
const FILLER = 'x'.repeat(4096);
const pool = new pg.Pool({ connectionString: FAULTS_DATABASE_URL, max: 2, connectionTimeoutMillis: 3000 });
pool.on('error', () => undefined);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let isStopping = false;
process.on('SIGTERM', () => {
  isStopping = true;
});

async function commit(entries) {
  const client = await pool.connect();
  client.on('error', () => undefined);
  let damage;
  try {
    await client.query('BEGIN');
    for (const entry of entries) {
      const { rows } = await client.query(
        `INSERT INTO oracle.key AS k (key, seq) VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET seq = k.seq + 1 RETURNING seq`,
        [entry.key ?? ''],
      );
      const seq = entry.key === null ? null : rows[0].seq;
      await client.query('INSERT INTO oracle.produced (event_id, key, seq, kind) VALUES ($1, $2, $3, $4)', [
        entry.id,
        entry.key,
        seq,
        entry.kind,
      ]);
      await store?.(entry, client);
    }
    if (random.isOneIn(10)) return await client.query('ROLLBACK').then(() => false);
    await client.query('COMMIT');
    return true;
  } catch (error) {
    await client.query('ROLLBACK').catch((failure) => {
      damage = failure;
    });
    throw error;
  } finally {
    client.release(damage);
  }
}

async function publish(send, entry) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send('ledger', `entry.${entry.kind}`, Buffer.from(JSON.stringify(entry)), entry.id);
    } catch (error) {
      if (attempt === 5) return console.error(`given up: ${error}`);
      await pause(500);
    }
  }
}

const adapter = ADAPTERS[FAULTS_PEER];
const store = await adapter.storage?.(FAULTS_DATABASE_URL);
const send = await adapter.publisher?.(FAULTS_BROKER_URL);
let dueMs = performance.now();
while (!isStopping) {
  const entries = Array.from({ length: random.isOneIn(3) ? 1 + random.below(12) : 1 }, () => ({
    id: randomUUID(),
    // Keys of this process alone, so that another's publishes cannot get between commit and publish.
    key: random.isOneIn(10) ? null : `${process.env.FAULTS_NAME}-${zipf.next()}`,
    kind: random.isOneIn(100) ? 'fails' : 'plain',
    filler: FILLER.slice(0, 150 + random.below(300)),
  }));
  try {
    if (await commit(entries)) {
      process.send?.(entries.length);
      if (send) for (const entry of entries) await publish(send, entry);
    }
  } catch {
    await pause(100);
  }
  dueMs = Math.max(dueMs + (1000 * entries.length) / perSecond, performance.now() - 2000);
  await pause(Math.max(0, dueMs - performance.now()));
}
process.exit(0);
