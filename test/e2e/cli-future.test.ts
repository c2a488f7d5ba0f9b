import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CliProject } from '../support/cli-project.ts';
import { testDatabaseUrl } from '../support/servers.ts';

const project = new CliProject();
const database = new pg.Client({ connectionString: testDatabaseUrl() });
const table = `"${project.name}".svc_comm_future`;
const ids: string[] = [];

const WRITER = `
import { createService } from 'svc-comm';
const service = createService({ appId: 'shop', brokerUrl: process.env.SVC_COMM_BROKER_URL,
  databaseUrl: process.env.SVC_COMM_DATABASE_URL, schema: process.env.SVC_COMM_SCHEMA });
const ids = [];
await service.transaction(async () => {
  for (const [eventType, tags, hours, key] of [
    ['remind.first', { userId: 1 }, 3, 'u1'],
    ['remind.last', { userId: 1, list: 'a\\u001b[31mb' }, 1, 'u1'],
    ['remind.first', { userId: '1' }, 2],
    ['remind.first', { userId: 2 }, 4],
  ]) {
    const eventTime = new Date(Date.UTC(2090, 0, 1, hours));
    const event = { aggregate: 'EXCHANGE', eventType, payload: {}, eventTime, tags, key };
    ids.push((await service.publishFutureAggregateEvent(event)).eventId);
  }
});
await service.close();
console.log(JSON.stringify(ids));
`;

beforeAll(async () => {
  await database.connect();
  expect((await project.cli('migrate')).code).toBe(0);
  project.write('write.js', WRITER);
  ids.push(...JSON.parse((await project.run(['write.js'])).stdout));
  // what RetryLater with a long delay leaves there
  await database.query(
    `INSERT INTO ${table} (due_at, message_id, exchange, routing_key, body)
     VALUES (now() + interval '1 day', gen_random_uuid(), '', $1, '{}')`,
    [project.queue],
  );
});
afterAll(async () => {
  await database.end();
  await project.remove();
});

const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await project.cli('future', ...args, '--json');
  return { code, stderr, result: JSON.parse(stdout) };
};
const rows = async () => (await database.query(`SELECT message_id AS id FROM ${table} WHERE exchange <> ''`)).rows;

describe('future', () => {
  it('ls counts them and prints those that are due next first, without what steers a terminal', async () => {
    const { code, result } = await json('ls', '--limit', '2');
    expect(code).toBe(0);
    expect(result).toMatchObject({ selected: 4, retries: 1 });
    expect(result.events).toEqual([
      {
        eventId: ids[1],
        eventTime: '2090-01-01T01:00:00.000Z',
        aggregate: project.exchange,
        eventType: 'remind.last',
        key: 'u1',
        tags: { userId: 1, list: 'a\u001b[31mb' },
      },
      expect.objectContaining({ eventId: ids[2], tags: { userId: '1' } }),
    ]);
    const { stdout } = await project.cli('future', 'ls', '--limit', '3');
    expect(stdout).toMatch(/^4 future events\ndue +aggregate +type +key +tags +id\n2090-01-01T01:00:00.000Z {2}/);
    expect(stdout).toContain(
      '1 more: --limit\nbeside them 1 messages wait for their time: of retries and delayed tasks',
    );
    expect(stdout).not.toContain('\u001b');
  });

  it('ls takes tags as the JSON that they are, types and ids', async () => {
    const selected = async (...args: string[]) =>
      (await json('ls', ...args)).result.events.map((event: { eventId: string }) => event.eventId);
    expect(await selected('--tag', 'userId=1')).toEqual([ids[1], ids[0]]);
    expect(await selected('--tag', 'userId="1"')).toEqual([ids[2]]);
    expect(await selected('--tag', 'userId=1', '--event-type', 'remind.first')).toEqual([ids[0]]);
    expect(await selected('--aggregate', 'other')).toEqual([]);
    expect(await selected('--id', `${ids[3]}`.toUpperCase(), '--id', 'none')).toEqual([ids[3]]);
    expect((await project.cli('future', 'ls', '--aggregate', 'other')).stdout).toMatch(/^no future events\n/);
  });

  it('cancel asks, or needs --yes; and never takes all because a filter was forgotten', async () => {
    expect(await json('cancel', '--tag', 'userId=1')).toMatchObject({
      code: 2,
      result: { error: { code: 'SVC_COMM_USAGE' } },
    });
    expect(await json('cancel', '--yes')).toMatchObject({ code: 2, result: { error: { code: 'SVC_COMM_USAGE' } } });
    expect(await json('cancel', '--tag', 'userId')).toMatchObject({ code: 2 });
    for (const yes of [[], ['--yes']]) {
      const { stdout } = await project.cli('future', 'cancel', '--tag', 'userId=1', '--dry-run', ...yes);
      expect(stdout).toBe('2 would be cancelled\n');
    }
    expect(await rows()).toHaveLength(4);
  });

  it('cancel takes out what is selected, counts it, and leaves retries alone', async () => {
    expect(await json('cancel', '--tag', 'userId=1', '--yes')).toMatchObject({ code: 0, result: { cancelled: 2 } });
    expect(await json('cancel', '--tag', 'userId=1', '--yes')).toMatchObject({ code: 0, result: { cancelled: 0 } });
    expect((await project.cli('future', 'cancel', '--event-type', project.queue, '--yes')).stdout).toBe(
      '0 cancelled\n',
    );
    expect((await rows()).map(({ id }) => id).sort()).toEqual([ids[2], ids[3]].sort());
    expect((await database.query(`SELECT 1 FROM ${table} WHERE exchange = ''`)).rowCount).toBe(1);
  });

  it('says that the tables are missing', async () => {
    const bare = new CliProject();
    try {
      const { code, stdout } = await bare.cli('future', 'ls', '--json');
      expect(code).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'SVC_COMM_MIGRATION_REQUIRED' } });
    } finally {
      await bare.remove();
    }
  });
});
