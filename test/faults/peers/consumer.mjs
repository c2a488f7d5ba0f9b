// A consumer of a peer: the effect in a transaction, then the ack. What it writes for the oracle is what ours writes.
import { appendFileSync } from 'node:fs';
import pg from 'pg';
import { ADAPTERS } from './adapters.mjs';

const {
  FAULTS_PEER,
  FAULTS_BROKER_URL,
  FAULTS_DATABASE_URL,
  FAULTS_CONSUMER: consumer,
  FAULTS_ORDERED,
  FAULTS_RUNS,
} = process.env;
const isOrdered = FAULTS_ORDERED === '1';
const pool = new pg.Pool({ connectionString: FAULTS_DATABASE_URL, max: 20, connectionTimeoutMillis: 3000 });
pool.on('error', () => undefined);

async function handleIn(entry, client, isRepeated) {
  appendFileSync(FAULTS_RUNS, `${consumer} ${entry.id} 1 ${process.pid} ${new Date().toISOString()}\n`);
  let n = null;
  if (isOrdered && entry.key !== null) {
    const { rows } = await client.query(
      `INSERT INTO oracle.counter AS c (consumer, key, n) VALUES ($1, $2, 1)
       ON CONFLICT (consumer, key) DO UPDATE SET n = c.n + 1 RETURNING n`,
      [consumer, entry.key],
    );
    n = rows[0].n;
  }
  const effect = 'INSERT INTO oracle.effect (consumer, event_id, n) VALUES ($1, $2, $3)';
  await client.query(effect, [consumer, entry.id, n]);
  if (entry.kind === 'fails' && !isRepeated) throw new Error('fails at the first attempt, as planned');
}

async function handle(bytes, redelivered) {
  const client = await pool.connect();
  client.on('error', () => undefined);
  let damage;
  try {
    await client.query('BEGIN');
    await handleIn(JSON.parse(bytes.toString()), client, redelivered);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch((failure) => {
      damage = failure;
    });
    throw error;
  } finally {
    client.release(damage);
  }
}

process.on('SIGTERM', () => process.exit(0));
// One at a time where order is wanted: none of them keeps the order of a key in any other way.
await ADAPTERS[FAULTS_PEER].consumer(FAULTS_BROKER_URL, {
  queue: consumer,
  prefetch: isOrdered ? 1 : 100,
  databaseUrl: FAULTS_DATABASE_URL,
  pool,
  handle,
  handleIn,
});
console.log(`consuming from queue ${consumer}`);
