import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchBroker } from './broker.ts';
import { compiled } from './compiled.ts';
import type { BenchDatabase } from './database.ts';
import { EVENT_TYPE } from './event.ts';
import { type Run, Stopwatch } from './harness.ts';

/** Until the relay has found nothing for a while, and waits to be notified. */
const PARKING_MS = 300;

/** Rows of our outbox, and the relay of 'svc-comm runpublisher' with its defaults that moves them to the exchange of the bench. */
export async function outboxRelay(broker: BenchBroker, database: BenchDatabase) {
  const { createService } = await compiled('index');
  const appId = broker.name;
  const settings = { appId, brokerUrl: broker.url, databaseUrl: database.url, schema: database.schema };
  const service = createService({ ...settings, logLevel: 'error' });
  const outbox = database.table('svc_comm_outbox');

  /** @param keys how many there are, drawn evenly; 0: none */
  const fill = (rows: number, keys: number) =>
    database.pool.query(
      `INSERT INTO ${outbox} (part, order_key, message_id, exchange, routing_key, body, app_id)
       SELECT hashtext(coalesce(k, $1)) & 63, k, gen_random_uuid(), $1, $2, $3, 'bench'
         FROM (SELECT CASE WHEN $4 > 0 THEN 'k' || floor(random() * $4) END AS k FROM generate_series(1, $5::int)) s`,
      [broker.name, EVENT_TYPE, broker.body.toString(), keys, rows],
    );
  return {
    outbox,
    fill,
    /** From the commit of so many rows to the last one deleted. */
    async run(count: number, keys: number): Promise<Run> {
      await database.pool.query(`VACUUM ${outbox}`);
      const relay = service.relay();
      await relay.start();
      await sleep(PARKING_MS);
      const watch = new Stopwatch();
      const backends = `${appId} %`;
      const before = await database.cpuMs(backends);
      await fill(count, keys);
      watch.start();
      while (relay.stats.deleted < count) await sleep(2);
      const result: Run = watch.stop(count);
      const after = await database.cpuMs(backends);
      await relay.stop();
      if (relay.stats.published !== count) throw new Error(`published ${relay.stats.published} of ${count}`);
      return { ...result, otherCpuMs: before === undefined || after === undefined ? undefined : after - before };
    },
    close: () => service.close(),
  };
}
