/**
 * Writes events with their ledger rows: a steady trickle until SIGTERM, one transaction in ten rolled back on purpose,
 * and a burst in one transaction for each number that the parent sends. A key's row lock makes its `seq` the order of
 * its commits.
 */
import { publishAggregateEvent, publishAggregateEvents, transaction } from 'svc-comm';

const keys = Number(process.env.KEYS ?? 200);
const writers = Number(process.env.WRITERS ?? 2);
const pauseMs = Number(process.env.PAUSE_MS ?? 20);
const hasKey = process.env.NO_KEY === undefined;
let stopping = false;
process.on('SIGTERM', () => {
  stopping = true;
});

class RolledBackOnPurpose extends Error {}

interface Trx {
  raw(sql: string, bindings: readonly unknown[]): Promise<{ rows: { key: string; seq: number }[] }>;
}
const event = (key: string, seq: number) => ({
  aggregate: 'ledger',
  eventType: 'entry.added',
  payload: { key, seq },
  ...(hasKey ? { key } : {}),
});
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function write(key: string, rollBack: boolean): Promise<void> {
  await transaction(async (handle) => {
    const trx = handle as Trx;
    const { rows } = await trx.raw(
      'INSERT INTO oracle.key AS k (key, seq) VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET seq = k.seq + 1 RETURNING key, seq',
      [key],
    );
    const seq = rows[0]?.seq ?? 0;
    const { eventId } = await publishAggregateEvent(event(key, seq));
    await trx.raw('INSERT INTO oracle.produced (event_id, key, seq) VALUES (?, ?, ?)', [eventId, key, seq]);
    if (rollBack) throw new RolledBackOnPurpose();
  });
}

/** Entries spread over all keys, in key order, so that bursts and trickle take row locks in one order. */
async function burst(entries: number, rollBack: boolean): Promise<void> {
  const each = Math.ceil(entries / keys);
  const names = Array.from({ length: keys }, (_, i) => `k${i}`).toSorted();
  await transaction(async (handle) => {
    const trx = handle as Trx;
    const { rows } = await trx.raw(
      `INSERT INTO oracle.key AS k (key, seq) SELECT name, ?::int FROM unnest(?::text[]) name ORDER BY name
       ON CONFLICT (key) DO UPDATE SET seq = k.seq + excluded.seq RETURNING key, seq`,
      [each, names],
    );
    // Key by key in turn, as a service's events come: a run of one key would be handled one by one.
    const turns = Array.from({ length: each }, (_, i) => i);
    const written = turns.flatMap((i) => rows.map(({ key, seq }) => ({ key, seq: seq - each + 1 + i })));
    const published = await publishAggregateEvents(written.map(({ key, seq }) => event(key, seq)));
    await trx.raw('INSERT INTO oracle.produced SELECT * FROM unnest(?::uuid[], ?::text[], ?::int[])', [
      published.map(({ eventId }) => eventId),
      written.map(({ key }) => key),
      written.map(({ seq }) => seq),
    ]);
    if (rollBack) throw new RolledBackOnPurpose();
  });
}

/** Whether a commit that met a dying server arrived is read from the ledger, which is in the same transaction. */
async function attempt(work: () => Promise<void>): Promise<void> {
  await work().catch((error: unknown) => (error instanceof RolledBackOnPurpose ? undefined : pause(100)));
}

async function trickle(seed: number): Promise<void> {
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  while (!stopping) {
    await attempt(() => write(`k${Math.floor(random() * keys)}`, random() < 0.1));
    await pause(pauseMs);
  }
}

process.on('message', (entries: number) => {
  void attempt(() => burst(Math.ceil(entries / 10), true))
    .then(() => burst(entries, false))
    .then(
      () => process.send?.('written'),
      (error: unknown) => {
        console.error(error);
        process.send?.('failed');
      },
    );
});
process.send?.('ready');
await Promise.all(Array.from({ length: writers }, (_, i) => trickle(i + 1)));
process.exit(0);
