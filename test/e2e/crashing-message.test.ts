import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import pg from 'pg';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { bin, CliProject, type Running } from '../support/cli-project.ts';
import { until } from '../support/consumer-kit.ts';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';

const COUNT = 1_000;
const KILLER = 500;

const CONSUMERS = `
import { appendFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { eventConsumer, messageRouter } from 'svc-comm';

messageRouter.consumer('EXCHANGE', 'create.*')(eventConsumer(async (payload, event, context) => {
  appendFileSync('runs', payload.id + ' ');
  if (payload.id === ${KILLER}) DIE;
  // so that others are under way when it dies
  await setTimeout(2);
  await context.transaction?.raw('INSERT INTO SCHEMA.effect VALUES (?)', [payload.id]);
}));
`;

interface Case {
  readonly type: 'quorum' | 'classic';
  readonly hasDatabase: boolean;
  readonly death: string;
}

const cases: readonly Case[] = [
  { type: 'quorum', hasDatabase: true, death: 'process.abort()' },
  { type: 'classic', hasDatabase: true, death: "process.kill(process.pid, 'SIGKILL')" },
  { type: 'classic', hasDatabase: false, death: 'process.abort()' },
];

let broker: Awaited<ReturnType<typeof connect>>;
let database: pg.Client;
let project: CliProject;
beforeAll(async () => {
  broker = await connect(testBrokerUrl());
  database = new pg.Client({ connectionString: testDatabaseUrl() });
  await database.connect();
  return async () => {
    await broker.close();
    await database.end();
  };
});
afterEach(() => project.remove());

it.each(cases)(
  'one message of 1,000 that kills the process goes to the dead letters after three deaths, and no other does: $type queue, database: $hasDatabase',
  async ({ type, hasDatabase, death }) => {
    project = new CliProject();
    const { exchange, queue, name } = project;
    project.write('src/consumers.ts', CONSUMERS.replaceAll('SCHEMA', `"${name}"`).replace('DIE', death));
    const environment = {
      SVC_COMM_QUEUE: JSON.stringify({ name: queue, type }),
      SVC_COMM_PREFETCH: '50',
      ...(hasDatabase ? {} : { SVC_COMM_DATABASE_URL: undefined }),
    };
    const runconsumer = () => project.start([bin, 'runconsumer', '--log-level', 'info'], environment);
    if (hasDatabase) {
      expect((await project.cli('migrate')).code).toBe(0);
      await database.query(`CREATE TABLE "${name}".effect (id int)`);
    }
    const first = runconsumer();
    await first.line('consuming from queue');
    expect(await first.stop()).toBe(0);

    const channel = await broker.createConfirmChannel();
    for (let id = 0; id < COUNT; id += 1) {
      const event = { eventId: `e${id}`, eventTime: '2026-01-01T00:00:00Z', eventType: 'create.base', aggregate: 'a' };
      const body = Buffer.from(JSON.stringify({ ...event, payload: { id } }));
      channel.publish(exchange, 'create.base', body, { persistent: true, messageId: `m${id}`, appId: 'shop' });
    }
    await channel.waitForConfirms();

    // What a supervisor does: it starts the process again whenever it ends.
    let deaths = 0;
    let isOver = false;
    let consumer: Running | undefined;
    const supervisor = (async () => {
      while (!isOver) {
        consumer = runconsumer();
        await consumer.exit;
        if (!isOver) deaths += 1;
      }
    })();
    const runs = () => readFileSync(join(project.root, 'runs'), 'utf8').trim().split(' ').map(Number);
    const waiting = async (of: string) => (await channel.checkQueue(of)).messageCount;
    await until(async () => (await waiting(`${queue}.dead`)) === 1 && new Set(runs()).size === COUNT, 240_000);
    await until(async () => (await waiting(queue)) === 0);
    // The mark goes after the ack; a stop in between would leave it to the retention.
    const marks = `SELECT 1 FROM "${name}".svc_comm_start_mark`;
    if (hasDatabase) await until(async () => (await database.query(marks)).rowCount === 0);
    isOver = true;
    expect(await consumer?.stop()).toBe(0);
    await supervisor;

    expect(deaths).toBe(3);
    expect(runs().filter((id) => id === KILLER)).toHaveLength(3);
    const dead = await channel.get(`${queue}.dead`, { noAck: true });
    if (!dead) throw new Error('the dead letter has gone');
    expect(dead.properties.messageId).toBe(`m${KILLER}`);
    expect(dead.properties.headers).toMatchObject({ 'svc-comm-reason': 'crashed', 'svc-comm-attempt': 3 });
    expect(await waiting(`${queue}.dead`)).toBe(0);
    if (hasDatabase) {
      const { rows } = await database.query(`SELECT id FROM "${name}".effect ORDER BY id`);
      expect(rows.map(({ id }) => id)).toEqual(
        Array.from({ length: COUNT }, (_, id) => id).filter((id) => id !== KILLER),
      );
    }
    console.info(`${type}, database ${hasDatabase}: ${deaths} deaths, ${runs().length} runs of ${COUNT} messages`);
    await channel.close();
  },
);
