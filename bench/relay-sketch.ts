import type pg from 'pg';
import { type BenchBroker, publishOptions, WINDOW } from './broker.ts';

const BATCH = 500;

interface SketchRow {
  readonly id: string;
  readonly mid: string;
  readonly exchange: string;
  readonly route: string;
  readonly body: string;
}

/**
 * The least that moves an outbox to a broker with no loss: one process alone, no keys, no leases, no back-off, no late
 * commits. It reads ahead by an id cursor, publishes, deletes what is confirmed; the three overlap.
 * @returns when `count` rows are deleted
 */
export async function relaySketch(
  { confirms }: BenchBroker,
  [reader, deleter]: readonly [pg.Client, pg.Client],
  outbox: string,
  count: number,
): Promise<void> {
  const waiting: SketchRow[] = [];
  let confirmed: string[] = [];
  let cursor = '0';
  let [read, unconfirmed, deleted] = [0, 0, 0];
  let isReading = false;
  let isDeleting = false;
  await new Promise<void>((resolve, reject) => {
    const readAhead = async () => {
      if (isReading || read === count || waiting.length >= 2 * BATCH) return;
      isReading = true;
      const { rows } = await reader.query<SketchRow>({
        name: 'sketch_read',
        text: `SELECT id, message_id AS mid, exchange, routing_key AS route, body FROM ${outbox} WHERE id > $1 ORDER BY id LIMIT ${BATCH}`,
        values: [cursor],
      });
      isReading = false;
      cursor = rows.at(-1)?.id ?? cursor;
      read += rows.length;
      waiting.push(...rows);
      pump();
    };
    const remove = async () => {
      if (isDeleting || confirmed.length === 0) return;
      isDeleting = true;
      const ids = confirmed;
      confirmed = [];
      await deleter.query({
        name: 'sketch_delete',
        text: `DELETE FROM ${outbox} WHERE id = ANY($1::bigint[])`,
        values: [`{${ids}}`],
      });
      isDeleting = false;
      deleted += ids.length;
      if (deleted === count) resolve();
      else if (confirmed.length >= BATCH || unconfirmed === 0) remove().catch(reject);
    };
    const pump = () => {
      for (; unconfirmed < WINDOW; unconfirmed += 1) {
        const row = waiting.shift();
        if (!row) break;
        confirms.publish(row.exchange, row.route, Buffer.from(row.body), publishOptions(row.mid), (error: unknown) => {
          if (error) reject(error);
          unconfirmed -= 1;
          if (confirmed.push(row.id) >= BATCH || unconfirmed === 0) remove().catch(reject);
          pump();
        });
      }
      readAhead().catch(reject);
    };
    pump();
  });
}
