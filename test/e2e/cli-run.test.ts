import { createServer } from 'node:net';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bin, CliProject, CONSUMER } from '../support/cli-project.ts';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';

const PUBLISH = `
import { close, publishAggregateEvent, transaction } from 'svc-comm';

const [first, last] = process.argv.slice(2).map(Number);
await transaction(async () => {
  for (let id = first; id <= last; id += 1) {
    await publishAggregateEvent({ aggregate: 'EXCHANGE', eventType: 'create.base', payload: { id }, key: String(id) });
  }
});
await close();
`;

const project = new CliProject({ 'src/consumers.ts': CONSUMER, 'publish.mjs': PUBLISH });
const publish = (first: number, last: number) => project.run(['publish.mjs', String(first), String(last)]);
const isNothing = { code: 0, stdout: '', stderr: '' };
afterAll(() => project.remove());

describe('before the tables exist', () => {
  it.each(['runpublisher', 'runconsumer', 'checkpublisher'])('%s says that migrate is missing', async (command) => {
    const { code, stderr } = await project.cli(command);
    expect(stderr).toContain('run `svc-comm migrate`');
    expect(code).toBe(1);
  });

  it('migrate makes them, also when several run at once, and then has nothing to do', async () => {
    const results = await Promise.all([1, 2, 3].map(() => project.cli('migrate', '--json')));
    for (const { code, stderr } of results) expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const applied = results.flatMap(({ stdout }) => JSON.parse(stdout).applied);
    expect(applied.length).toBeGreaterThan(1);
    expect(new Set(applied).size).toBe(applied.length);
    expect(await project.cli('migrate')).toMatchObject({
      code: 0,
      stdout: 'nothing to do: the tables are up to date\n',
    });
  });
});

describe('checkpublisher', () => {
  beforeAll(async () => expect(await publish(1, 3)).toEqual(isNothing));

  it('is content within the limits', async () => {
    const { code, stdout } = await project.cli('checkpublisher');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^waiting +3, the oldest for [\d.]+ s\n[\s\S]+relays +0: none runs[\s\S]+\nhealthy\n$/);
  });

  it('fails when more wait than allowed, or one for longer', async () => {
    const tooMany = await project.cli('checkpublisher', '--max-queue-size', '2', '--json');
    expect(tooMany.code).toBe(1);
    expect(JSON.parse(tooMany.stdout)).toMatchObject({
      healthy: false,
      problems: ['3 events wait, more than 2 (--max-queue-size)'],
      rows: 3,
      relays: 0,
    });
    const tooOld = await project.cli('checkpublisher', '--max-delay', '0');
    expect(tooOld.code).toBe(1);
    expect(tooOld.stdout).toMatch(/unhealthy: the oldest waits for [\d.]+ s, longer than 0 s \(--max-delay\)/);
  });

  it.each([
    ['60s', 60],
    ['1.5m', 90],
    ['90', 90],
    ['500ms', 0.5],
  ])('takes --max-delay %s for %d seconds', async (given, maxDelay) => {
    const { stdout } = await project.cli('checkpublisher', '--max-delay', given, '--json');
    expect(JSON.parse(stdout)).toMatchObject({ maxDelay });
  });

  it('fails when a future event has been due for longer, and no relay moves it', async () => {
    const database = new pg.Client({ connectionString: testDatabaseUrl() });
    await database.connect();
    const future = `"${project.name}".svc_comm_future`;
    try {
      await database.query(
        `INSERT INTO ${future} (due_at, message_id, exchange, routing_key, body)
         VALUES (now() - interval '1 day', gen_random_uuid(), 'x', 'k', '{}')`,
      );
      const { code, stdout } = await project.cli('checkpublisher');
      expect(stdout).toMatch(/^waiting +4, the oldest for 864\d\d\.\d s\n/);
      expect(stdout).toMatch(/unhealthy: the oldest waits for 864\d\d\.\d s, longer than 60 s \(--max-delay\)/);
      expect(code).toBe(1);
    } finally {
      await database.query(`DELETE FROM ${future}`);
      await database.end();
    }
  });
});

describe('runpublisher and runconsumer', () => {
  it('bring events from a transaction to the handler, and drain on SIGTERM', async () => {
    const consumer = project.startCli('runconsumer');
    await consumer.line('consuming from queue');
    const publisher = project.startCli('runpublisher');
    await consumer.line('handled 1');
    await consumer.line('handled 3');
    expect(await publish(4, 6)).toEqual(isNothing);
    await consumer.line('handled 6');
    expect((await project.cli('checkpublisher', '--max-queue-size', '0')).stdout).toMatch(/relays +1\nhealthy/);
    expect(await Promise.all([publisher.stop('SIGTERM'), consumer.stop('SIGINT')])).toEqual([0, 0]);
    const logged = [...publisher.lines, ...consumer.lines].filter((line) => line.startsWith('{'));
    expect(logged.length).toBeGreaterThan(5);
    for (const line of logged) expect(JSON.parse(line)).toMatchObject({ appId: project.name, msg: expect.any(String) });
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

describe('a database that is down', () => {
  it.concurrent.each(['migrate', 'task ls', 'dlq ls', 'future ls', 'future cancel --id none --yes'])(
    'is waited for by %s for 30 s, and then told of: exit code 1',
    { timeout: 120_000 },
    async (command) => {
      const url = `postgres://postgres:c4n4ry@127.0.0.1:${await freePort()}/postgres`;
      const began = performance.now();
      const { code, stdout, stderr } = await project.run([bin, ...command.split(' '), '--json'], {
        SVC_COMM_DATABASE_URL: url,
      });
      expect(performance.now() - began).toBeGreaterThan(30_000);
      expect(code).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'SVC_COMM_DATABASE_UNAVAILABLE' } });
      expect(stdout + stderr).not.toContain('c4n4ry');
    },
  );
});

describe('a broker that is down', () => {
  /** A port where nobody listens. */
  it.each(['runconsumer', 'runpublisher'])(
    'is waited for by %s, which says so and ends when asked to',
    async (command) => {
      const brokerUrl = `amqp://guest:c4n4ry@127.0.0.1:${await freePort()}`;
      const running = project.start([bin, command], { SVC_COMM_BROKER_URL: brokerUrl });
      await running.line('ECONNREFUSED');
      expect(await running.stop()).toBe(0);
      expect(running.lines.join('\n')).not.toContain('c4n4ry');
    },
  );

  it.each(['runconsumer', 'runpublisher'])('ends %s --no-wait with exit code 1', async (command) => {
    const brokerUrl = `amqp://guest:c4n4ry@127.0.0.1:${await freePort()}`;
    const { code, stdout, stderr } = await project.run([bin, command, '--no-wait', '--json'], {
      SVC_COMM_BROKER_URL: brokerUrl,
    });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'SVC_COMM_BROKER_UNAVAILABLE' } });
    expect(stdout + stderr).not.toContain('c4n4ry');
  });

  it('is no reason to wait when it refuses the password: exit code 1 at once', async () => {
    const url = new URL(testBrokerUrl());
    url.password = 'c4n4ry';
    const { code, stdout, stderr } = await project.run([bin, 'runconsumer', '--json'], {
      SVC_COMM_BROKER_URL: url.href,
    });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'SVC_COMM_BROKER_ACCESS_REFUSED' } });
    expect(stdout + stderr).not.toContain('c4n4ry');
  });
});
