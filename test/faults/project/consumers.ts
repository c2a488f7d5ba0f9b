/** The services that consume: each handler run goes to a file before it does anything, each effect into its transaction. */
import { appendFileSync } from 'node:fs';
import { eventConsumer, messageRouter } from 'svc-comm';

interface Entry {
  readonly kind: 'plain' | 'fails' | 'poison';
  readonly key: string | null;
}
interface Raw {
  raw(sql: string, bindings: readonly unknown[]): Promise<{ rows: { n: number }[] }>;
}

const consumer = process.env.FAULTS_CONSUMER ?? '';
const runsFile = process.env.FAULTS_RUNS ?? '';
const isOrdered = process.env.FAULTS_ORDERED === '1';
const workMs = Number(process.env.FAULTS_WORK_MS ?? 0);

messageRouter.consumer(
  'ledger',
  'entry.#',
)(
  eventConsumer(async function addEntry(entry: Entry, event, context) {
    // Appended by one write: nothing of it is lost with the process, and lines do not mix.
    appendFileSync(
      runsFile,
      `${consumer} ${event.eventId} ${context.attempt} ${process.pid} ${new Date().toISOString()}\n`,
    );
    const trx = context.transaction as Raw;
    let n: number | null = null;
    if (isOrdered && entry.key !== null) {
      // The row's lock makes `n` the order of commits, whoever runs beside us.
      const { rows } = await trx.raw(
        `INSERT INTO oracle.counter AS c (consumer, key, n) VALUES (?, ?, 1)
         ON CONFLICT (consumer, key) DO UPDATE SET n = c.n + 1 RETURNING n`,
        [consumer, entry.key],
      );
      n = rows[0]?.n ?? null;
    }
    await trx.raw('INSERT INTO oracle.effect (consumer, event_id, n) VALUES (?, ?, ?)', [consumer, event.eventId, n]);
    if (workMs > 0) await new Promise((resolve) => setTimeout(resolve, workMs));
    if (entry.kind === 'poison') throw new Error('fails at every attempt, as planned');
    if (entry.kind === 'fails' && context.attempt === 1) throw new Error('fails at the first attempt, as planned');
  }),
);
