import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Knex } from 'knex';
import type pg from 'pg';
import { BenchBroker } from './broker.ts';
import { compiled } from './compiled.ts';
import { BenchDatabase } from './database.ts';
import { EVENT_TYPE, fullPayload, sampleEvent } from './event.ts';
import { interleave, judge, type Row, type Side, timed } from './harness.ts';

export const head = `
Ours, one event: knex.transaction() with publishAggregateEvent and their handle, beside the same transaction with a bare knex
insert of the same row into the same table (its trigger included); one client. 100 events: transaction() with 100 awaited
publishes, beside 100 such inserts one by one in a transaction. Committers: 8 and 64 clients of pg, each BEGIN, our
insert, COMMIT, again and again, while a relay works in this process; on: woken by notifications; off: no trigger, polling.
With a relay, 'on' is also the relay publishing at once what 'off' leaves for a second; without one it is the trigger alone.
Cheating would be: no checks of the payload, no ids of our own, synchronous_commit off, a relay on one side only.`;

const SINGLE = Number(process.env.SVC_COMM_BENCH_ENQUEUE_EVENTS ?? 500);
const HUNDREDS = 10;
const COMMITS = Number(process.env.SVC_COMM_BENCH_COMMITS ?? 6_000);
const TABLE = 'svc_comm_outbox';

export async function run(rounds: number): Promise<Row[]> {
  const broker = await BenchBroker.open('enqueue');
  // Takes everything and keeps nothing: the relay's work must not depend on a queue that grows.
  await broker.queue(broker.name, { 'x-max-length': 1 });
  const database = await BenchDatabase.open('enqueue');
  try {
    return [...(await costs(broker, database, rounds)), ...(await committers(broker, database, rounds))];
  } finally {
    await database.close();
    await broker.close();
  }
}

async function costs({ name: aggregate }: BenchBroker, database: BenchDatabase, rounds: number): Promise<Row[]> {
  const { createService } = await compiled('index');
  const { url, schema } = database;
  const service = createService({ appId: 'bench', databaseUrl: url, schema, logLevel: 'error' });
  const knex = database.knex(1);
  const event = { aggregate, eventType: EVENT_TYPE, payload: fullPayload(aggregate) };
  const body = sampleEvent(aggregate);
  const bareRow = () => ({
    part: 17,
    message_id: randomUUID(),
    exchange: aggregate,
    routing_key: EVENT_TYPE,
    body,
    app_id: 'bench',
  });
  const repeat = (name: string, times: number, events: number, step: () => Promise<unknown>): Side => ({
    name,
    async run() {
      await database.pool.query(`TRUNCATE ${database.table(TABLE)}`);
      return timed(times * events, async () => {
        for (let n = 0; n < times; n++) await step();
      });
    },
  });
  const insert = (trx: Knex.Transaction) => trx(TABLE).withSchema(schema).insert(bareRow());
  try {
    const one = await interleave(
      [
        repeat('knex insert', SINGLE, 1, () => knex.transaction((trx) => insert(trx))),
        repeat('publishAggregateEvent', SINGLE, 1, () =>
          knex.transaction((transaction) => service.publishAggregateEvent(event, { transaction })),
        ),
      ],
      rounds,
    );
    const hundred = await interleave(
      [
        repeat('100 knex inserts', HUNDREDS, 100, () =>
          knex.transaction(async (trx) => {
            for (let i = 0; i < 100; i++) await insert(trx);
          }),
        ),
        repeat('100 publishAggregateEvent', HUNDREDS, 100, () =>
          service.transaction(async () => {
            for (let i = 0; i < 100; i++) await service.publishAggregateEvent(event);
          }),
        ),
      ],
      rounds,
    );
    return [
      ...judge(one, { bench: 'enqueue, one event', ours: 'publishAggregateEvent', beside: 'knex insert', time: 1.15 }),
      ...judge(hundred, {
        bench: 'enqueue, 100 in a transaction',
        ours: '100 publishAggregateEvent',
        beside: '100 knex inserts',
        throughput: 3,
      }),
    ];
  } finally {
    await service.close();
  }
}

async function committers(broker: BenchBroker, database: BenchDatabase, rounds: number): Promise<Row[]> {
  const { createService } = await compiled('index');
  const { enqueueStatement } = await compiled('outbox/sql/enqueue');
  const { eventRow } = await compiled('outbox/event-row');
  const { url: databaseUrl, schema } = database;
  const outbox = database.table(TABLE);
  const clients = await database.clients(64);
  const event = { aggregate: broker.name, eventType: EVENT_TYPE, payload: fullPayload(broker.name) };
  const commit = async (client: pg.Client) => {
    const { sql: text, params } = enqueueStatement(schema, [eventRow(event, new Date(), 'bench')], false);
    const values = [...params];
    await client.query('BEGIN');
    await client.query({ name: 'enqueue', text, values });
    await client.query('COMMIT');
  };
  const side = (name: string, count: number, isOn: boolean, hasRelay = true): Side => ({
    name,
    async run() {
      await database.pool.query(`TRUNCATE ${outbox}`);
      await database.pool.query(`ALTER TABLE ${outbox} ${isOn ? 'ENABLE' : 'DISABLE'} TRIGGER svc_comm_outbox_wake`);
      const settings = { appId: 'bench', brokerUrl: broker.url, databaseUrl, schema, relay: { listen: isOn } };
      const service = createService({ ...settings, logLevel: 'error' });
      if (hasRelay) await service.relay().start();
      await sleep(300);
      let left = COMMITS;
      const committer = async (client: pg.Client) => {
        while (left-- > 0) await commit(client);
      };
      const result = await timed(COMMITS, () => Promise.all(clients.slice(0, count).map(committer)));
      await service.close();
      return result;
    },
  });
  const counts = [8, 64];
  const sides = counts.flatMap((n) => [side(`${n} committers, off`, n, false), side(`${n} committers, on`, n, true)]);
  const [trigger, none] = ['8 committers, trigger, no relay', '8 committers, no trigger, no relay'];
  const figures = await interleave([...sides, side(none, 8, false, false), side(trigger, 8, true, false)], rounds);
  const bench = 'enqueue, wake-up';
  return [
    ...counts.flatMap((n) =>
      judge(figures, { bench, ours: `${n} committers, on`, beside: `${n} committers, off`, throughput: 0.95 }),
    ),
    ...judge(figures, { bench, ours: trigger, beside: none, throughput: 0.95 }),
  ];
}
