import { eventConsumer, type MessageContext, messageRouter } from 'svc-comm';

interface Entry {
  readonly key: string;
  readonly seq: number;
}
interface Raw {
  raw(sql: string, bindings: readonly unknown[]): Promise<{ rows: { n: number }[] }>;
}

const consumer = process.env.LEDGER_CONSUMER ?? 'ledger';
const failOneIn = Number(process.env.FAIL_ONE_IN ?? 100);
const workMs = Number(process.env.WORK_MS ?? 0);

/** Drawn from the sequence number, so that which message fails does not depend on the process that takes it. */
const failsFirst = (entry: Entry, context: MessageContext): boolean =>
  context.attempt === 1 && failOneIn > 0 && (entry.seq * 31 + entry.key.length * 7) % failOneIn === 0;

messageRouter.consumer(
  'ledger',
  'entry.*',
)(
  eventConsumer(async function addEntry(entry: Entry, event, context) {
    const trx = context.transaction as Raw;
    const { rows } = await trx.raw(
      `INSERT INTO oracle.counter AS c (consumer, key, n) VALUES (?, ?, 1)
       ON CONFLICT (consumer, key) DO UPDATE SET n = c.n + 1 RETURNING n`,
      [consumer, entry.key],
    );
    await trx.raw('INSERT INTO oracle.effect (consumer, event_id, key, seq, n) VALUES (?, ?, ?, ?, ?)', [
      consumer,
      event.eventId,
      entry.key,
      entry.seq,
      rows[0]?.n ?? 0,
    ]);
    if (workMs) await new Promise((resolve) => setTimeout(resolve, workMs));
    if (failsFirst(entry, context)) throw new Error('fails at the first attempt, as planned');
  }),
);
