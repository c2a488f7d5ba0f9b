import type { ConsumeMessage } from 'amqplib';
import type { Knex } from 'knex';
import type pg from 'pg';
import type { TransactionsSetting } from '../src/database/transactions.ts';
import type { MessageContext } from '../src/message/handler.ts';
import type { EventInfo } from '../src/wire/event.ts';
import { BenchBroker, messageIds } from './broker.ts';
import { compiled } from './compiled.ts';
import { BenchDatabase } from './database.ts';
import type { Payload } from './event.ts';
import { interleave, judge, type Row, type Run, type Side, Stopwatch, timed } from './harness.ts';

export const head = `
A quorum queue is filled, then emptied; the time is from the first handler run to the last. All sides parse the JSON and
hand over the payload. Ours: consumer of a service as 'svc-comm runconsumer' has it: router, envelope checks, correlation,
time limit, 20 handlers at once; amqplib: a bare callback, acks one by one or the last of a turn with 'multiple'.
Inbox: the handler writes a row; beside it a loop without any broker of the same four statements (BEGIN, claim, insert,
COMMIT) by 20 at once. Once with pg on both sides (ours: the setting 'transactions' with a pool of pg), once with knex. 'by
hand': amqplib with prefetch 20, the same four statements by pg, then the ack; no retries, no dead letters, no time limit.
'shared': the handler's option group: 20 at concurrency 80, so four transactions at once; beside the same loop.
Cheating would be: noAck, acks before the handler, no parse, other prefetch, synchronous_commit off on one side.`;

const COUNT = Number(process.env.SVC_COMM_BENCH_CONSUME_MESSAGES ?? 10_000);
const INBOX_COUNT = Number(process.env.SVC_COMM_BENCH_INBOX_MESSAGES ?? 2_000);
const CONCURRENCY = 20;
const BY_HAND = 'amqplib and pg, by hand';

/** Starts at the first call and stops at the last, resolving `done`. */
class Count {
  readonly done: Promise<Run>;
  readonly #watch = new Stopwatch();
  readonly #wanted: number;
  #seen = 0;
  #ids = 0;
  #resolve: (run: Run) => void = () => undefined;

  constructor(wanted: number) {
    this.#wanted = wanted;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  handled(payload: Payload): void {
    this.#ids += payload.id;
    this.#seen += 1;
    if (this.#seen === 1) this.#watch.start();
    if (this.#seen !== this.#wanted) return;
    if (this.#ids !== this.#wanted) throw new Error('payloads are not those that were sent');
    this.#resolve(this.#watch.stop(this.#wanted - 1));
  }
}

export async function run(rounds: number): Promise<Row[]> {
  const broker = await BenchBroker.open('consume');
  const queue = await broker.queue(broker.name);
  broker.owns(queue);
  try {
    const rows: Row[] = [];
    for (const prefetch of [100, 1000]) rows.push(...(await plain(broker, queue, prefetch, rounds)));
    return [...rows, ...(await withInbox(broker, queue, rounds))];
  } finally {
    await broker.close();
  }
}

async function plain(broker: BenchBroker, queue: string, prefetch: number, rounds: number): Promise<Row[]> {
  const ours = await ourSide(broker, queue, prefetch);
  const sides = [amqplibSide(broker, queue, prefetch, 'each'), amqplibSide(broker, queue, prefetch, 'multiple'), ours];
  const figures = await interleave(sides, rounds);
  const bench = `consume, prefetch ${prefetch}`;
  const each = prefetch === 100 ? 1.4 : 1.1;
  return [
    ...judge(figures, { bench, ours: 'router', beside: 'amqplib, ack each', throughput: each, cpu: 0.8 }),
    ...judge(figures, { bench, ours: 'router', beside: 'amqplib, multiple acks', throughput: 0.9 }),
  ];
}

function amqplibSide(broker: BenchBroker, queue: string, prefetch: number, acks: 'each' | 'multiple'): Side {
  return {
    name: acks === 'each' ? 'amqplib, ack each' : 'amqplib, multiple acks',
    async run() {
      await refill(broker, queue, COUNT);
      const channel = await broker.model.createChannel();
      await channel.prefetch(prefetch);
      const count = new Count(COUNT);
      let last: ConsumeMessage | undefined;
      const ackLast = () => {
        if (last) channel.ack(last, true);
        last = undefined;
      };
      const onMessage = (message: ConsumeMessage | null) => {
        if (!message) return;
        count.handled(JSON.parse(message.content.toString()).payload);
        if (acks === 'each') return channel.ack(message);
        if (!last) setImmediate(ackLast);
        last = message;
      };
      await channel.consume(queue, onMessage);
      const result = await count.done;
      ackLast();
      await channel.close();
      return result;
    },
  };
}

async function ourSide(broker: BenchBroker, queue: string, prefetch: number): Promise<Side> {
  const { createService, eventConsumer } = await compiled('index');
  let count = new Count(COUNT);
  const service = createService({ appId: 'bench', brokerUrl: broker.url, queue, prefetch, logLevel: 'error' });
  service.messageRouter.consumer(broker.name, 'create.*')(eventConsumer((payload: Payload) => count.handled(payload)));
  return {
    name: 'router',
    async run() {
      count = new Count(COUNT);
      await refill(broker, queue, COUNT);
      const consumer = service.consumer();
      await consumer.start();
      const result = await count.done;
      await service.close();
      return result;
    },
  };
}

interface EffectRow {
  readonly id: string;
  readonly total: unknown;
}

async function withInbox(broker: BenchBroker, queue: string, rounds: number): Promise<Row[]> {
  const { createService, eventConsumer, knexTransactions } = await compiled('index');
  const { claimNewInbox } = await compiled('database/sql/claim-inbox');
  const database = await BenchDatabase.open('inbox');
  const { url: databaseUrl, schema, pool } = database;
  const effect = database.table('effect');
  await pool.query(`CREATE TABLE ${effect} (id text, total numeric)`);
  const clients = await database.clients(CONCURRENCY);
  const knex = database.knex(CONCURRENCY);
  const settings = { appId: 'bench', brokerUrl: broker.url, queue, databaseUrl, schema, concurrency: CONCURRENCY };
  const insertSql = `insert into ${effect} (id, total) values ($1, $2)`;
  let count = new Count(INBOX_COUNT);
  const side = (
    name: string,
    transactions: TransactionsSetting,
    write: (handle: unknown, row: EffectRow) => unknown,
    { group, concurrency }: { group: number; concurrency: number } = { group: 1, concurrency: CONCURRENCY },
  ) => {
    const service = createService({ ...settings, concurrency, transactions, logLevel: 'error' });
    const handler = async (payload: Payload, { eventId }: EventInfo, { transaction }: MessageContext) => {
      await write(transaction, { id: eventId, total: payload.total });
      count.handled(payload);
    };
    const onEvent = eventConsumer(handler, { group });
    service.messageRouter.consumer(broker.name, 'create.*')(onEvent);
    return {
      name,
      async run() {
        count = new Count(INBOX_COUNT);
        await refill(broker, queue, INBOX_COUNT);
        const consumer = service.consumer();
        await consumer.start();
        const result = await count.done;
        await consumer.stop();
        return result;
      },
    } satisfies Side;
  };
  const writeByKnex = (handle: unknown, row: EffectRow) =>
    (handle as Knex.Transaction)('effect').withSchema(schema).insert(row);
  const writeByPg = (handle: unknown, { id, total }: EffectRow) =>
    (handle as pg.PoolClient).query(insertSql, [id, total]);
  const pgTransactions: TransactionsSetting = (work) => database.transaction(CONCURRENCY, work);
  const withKnex = side('inbox, knex', knexTransactions(), writeByKnex);
  const withPg = side('inbox, pg', pgTransactions, writeByPg);
  const shared = { group: 20, concurrency: 80 };
  const sharedKnex = side('inbox shared, knex', knexTransactions(), writeByKnex, shared);
  const sharedPg = side('inbox shared, pg', pgTransactions, writeByPg, shared);
  const key = (messageId: string, source = 'bench') => ({ queue, source, messageId });
  const once = async (client: pg.Client | undefined, id: string, total: unknown, source?: string) => {
    if (!client) throw new Error('no client');
    await client.query('BEGIN');
    const query = async <Row extends object>(text: string, values: readonly (string | null)[], name?: string) =>
      (await client.query<Row>({ text, values: [...values], ...(name === undefined ? {} : { name }) })).rows;
    await claimNewInbox({ query }, schema, key(id, source), null, 600_000);
    await client.query(insertSql, [id, total]);
    await client.query('COMMIT');
  };
  const pgLoop = loopSide('pg', (id, worker) => once(clients[worker], id, 208.95));
  const byHand: Side = {
    name: BY_HAND,
    async run() {
      await refill(broker, queue, INBOX_COUNT);
      const counted = new Count(INBOX_COUNT);
      const channel = await broker.model.createChannel();
      await channel.prefetch(CONCURRENCY);
      const free = [...clients];
      await channel.consume(queue, async (message) => {
        if (!message) return;
        const { payload } = JSON.parse(message.content.toString());
        const client = free.pop();
        await once(client, message.properties.messageId, payload.total, 'by hand');
        channel.ack(message);
        if (client) free.push(client);
        counted.handled(payload);
      });
      const result = await counted.done;
      await channel.close();
      return result;
    },
  };
  const knexLoop = loopSide('knex', (id) =>
    knex.transaction(async (trx) => {
      const query = async <Row>(text: string, values: readonly (string | null)[]): Promise<Row[]> => {
        const result = await trx.raw(
          text.replaceAll(/\$(\d+)/g, ':p$1 '),
          Object.fromEntries(values.map((value, i) => [`p${i + 1}`, value])),
        );
        return result.rows;
      };
      await claimNewInbox({ query }, schema, key(id), null, 600_000);
      await trx('effect').withSchema(schema).insert({ id, total: 208.95 });
    }),
  );
  try {
    const figures = await interleave([pgLoop, byHand, withPg, sharedPg, knexLoop, withKnex, sharedKnex], rounds);
    const bench = 'consume with inbox';
    return [
      ...judge(figures, { bench, ours: 'inbox, pg', beside: 'pg', throughput: 0.85 }),
      ...judge(figures, { bench, ours: 'inbox, pg', beside: BY_HAND, throughput: 0 }),
      ...judge(figures, { bench, ours: 'inbox shared, pg', beside: BY_HAND, throughput: 0 }),
      ...judge(figures, { bench, ours: 'inbox, knex', beside: 'knex', throughput: 0.85 }),
      ...judge(figures, { bench, ours: 'inbox, knex', beside: 'pg', throughput: 0 }),
      ...judge(figures, { bench, ours: 'inbox shared, pg', beside: 'pg', throughput: 2.5 }),
      ...judge(figures, { bench, ours: 'inbox shared, knex', beside: 'knex', throughput: 2.5 }),
    ];
  } finally {
    await database.close();
  }
}

function loopSide(name: string, step: (id: string, worker: number) => Promise<void>): Side {
  return {
    name,
    run: () => {
      const ids = messageIds(INBOX_COUNT);
      const worker = async (_: unknown, index: number) => {
        for (let id = ids.pop(); id !== undefined; id = ids.pop()) await step(id, index);
      };
      return timed(INBOX_COUNT, () => Promise.all(Array.from({ length: CONCURRENCY }, worker)));
    },
  };
}

/** Exactly so many messages, each with an id of its own. */
async function refill(broker: BenchBroker, queue: string, count: number): Promise<void> {
  await broker.channel.purgeQueue(queue);
  await broker.publish(count);
}
