import { connect } from 'amqplib';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliProject } from '../support/cli-project.ts';
import { until } from '../support/consumer-kit.ts';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';

/** More to see it at length: SVC_COMM_TEST_DEAD_LETTERS=10000. */
const COUNT = Number(process.env.SVC_COMM_TEST_DEAD_LETTERS ?? 2_000);

const CONSUMERS = `
import { existsSync } from 'node:fs';
import { eventConsumer, messageRouter } from 'svc-comm';

export class OrderConsumers {
  @messageRouter.consumer('EXCHANGE', 'create.*')
  @eventConsumer
  static async onOrder(payload, event, context) {
    await context.transaction.raw('INSERT INTO SCHEMA.effect VALUES (?)', [payload.id]);
    if (!existsSync('mended')) throw new Error('not \u001b[31myet');
  }
}
`;

const project = new CliProject();
project.write('src/consumers.ts', CONSUMERS.replaceAll('SCHEMA', project.name));
const database = new pg.Client({ connectionString: testDatabaseUrl() });
let broker: Awaited<ReturnType<typeof connect>>;
let channel: Awaited<ReturnType<typeof broker.createConfirmChannel>>;

beforeAll(async () => {
  broker = await connect(testBrokerUrl());
  channel = await broker.createConfirmChannel();
  await database.connect();
  expect((await project.cli('migrate')).code).toBe(0);
  await database.query(`CREATE TABLE "${project.name}".effect (id int)`);
  const consumer = project.startCli('runconsumer', '--log-level', 'info');
  await consumer.line('consuming from queue');
  for (let id = 0; id < COUNT; id += 1) {
    const event = { eventId: `e${id}`, eventTime: '2026-01-01T00:00:00Z', eventType: 'create.base', aggregate: 'a' };
    const body = Buffer.from(JSON.stringify({ ...event, payload: { id } }));
    channel.publish(project.exchange, 'create.base', body, { persistent: true, messageId: `m${id}`, appId: 'shop' });
  }
  await channel.waitForConfirms();
  await until(async () => (await waiting(project.queue)) === 0 && (await waiting(dead)) === COUNT, 60_000);
  expect(await consumer.stop()).toBe(0);
});
afterAll(async () => {
  await broker.close();
  await database.end();
  await project.remove();
});

const dead = `${project.queue}.dead`;
const waiting = async (queue: string) => (await channel.checkQueue(queue)).messageCount;
const effects = async () => (await database.query(`SELECT id FROM "${project.name}".effect ORDER BY id`)).rows;
const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await project.cli('dlq', ...args, '--json');
  return { code, stderr, result: JSON.parse(stdout) };
};

describe('dlq', () => {
  it('ls counts them by reason and handler', async () => {
    const { code, result } = await json('ls');
    expect(code).toBe(0);
    expect(result).toMatchObject({ queue: dead, waiting: COUNT, counted: COUNT });
    expect(result.groups).toMatchObject([{ reason: 'attempts', handler: 'OrderConsumers.onOrder', count: COUNT }]);
    const { stdout } = await project.cli('dlq', 'ls');
    expect(stdout).toMatch(
      new RegExp(
        `^\\S+: ${COUNT} dead letters\\ncount +reason +handler +oldest +newest\\n${COUNT} +attempts +OrderCon`,
      ),
    );
  });

  it('show prints history and body, and no control character of the sender', async () => {
    const { result } = await json('show', '--id', 'm7');
    expect(result.deadLetters).toMatchObject([
      { id: 'm7', reason: 'attempts', failedRuns: 1, failures: [{ message: 'not \u001b[31myet' }], bodyKind: 'json' },
    ]);
    expect(result.deadLetters[0].body.payload).toEqual({ id: 7 });
    const { stdout } = await project.cli('dlq', 'show', '--limit', '1', '--max-body', '10');
    // The oldest: whichever of those that failed together was given up first.
    expect(stdout).toMatch(/^id {9}m\d+\nreason {5}attempts/m);
    expect(stdout).toContain('not \\x1b[31myet');
    expect(stdout).toMatch(/body {7}\d+ bytes, cut: --max-body\n\{"eventId"$/m);
    expect(await json('show', '--id', 'none')).toMatchObject({ code: 0, result: { deadLetters: [] } });
  });

  it('drop needs --yes where nobody can be asked', async () => {
    const { code, result } = await json('drop', '--id', 'm3');
    expect(code).toBe(2);
    expect(result).toMatchObject({ error: { code: 'SVC_COMM_USAGE' } });
    expect((await project.cli('dlq', 'drop', '--dry-run')).stdout).toBe(`${COUNT} would be dropped\n`);
    expect(await json('drop', '--id', 'm3', '--yes')).toMatchObject({ code: 0, result: { dropped: 1 } });
  });

  it('redrive --dry-run moves nothing', async () => {
    expect(await json('redrive', '--dry-run')).toMatchObject({
      code: 0,
      result: { redriven: COUNT - 1, dryRun: true },
    });
    expect(await waiting(project.queue)).toBe(0);
  });

  it('redrive that is killed in the middle, and run again, loses nothing and has each effect once', async () => {
    const killed = project.startCli('dlq', 'redrive', '--rate', '1000/s');
    await until(async () => (await waiting(project.queue)) > 300, 30_000);
    await killed.stop('SIGKILL');
    const moved = await waiting(project.queue);
    expect(moved).toBeLessThan(COUNT - 1);
    project.write('mended', '');
    const consumer = project.startCli('runconsumer', '--log-level', 'info');
    const { code, result } = await json('redrive');
    expect(code).toBe(0);
    expect(result.redriven).toBeGreaterThanOrEqual(COUNT - 1 - moved);
    await until(async () => (await effects()).length >= COUNT - 1, 60_000);
    await until(async () => (await waiting(project.queue)) === 0);
    expect(await consumer.stop()).toBe(0);
    const all = Array.from({ length: COUNT }, (_, id) => ({ id })).filter(({ id }) => id !== 3);
    expect(await effects()).toEqual(all);
    expect(await json('ls')).toMatchObject({ code: 0, result: { waiting: 0, groups: [] } });
    expect((await project.cli('dlq', 'show')).stdout).toBe('no such dead letter\n');
  });
});
