import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createService } from '../../src/assemble.ts';
import type { ProblemCode } from '../../src/doctor/problems.ts';
import { type OwnPostgres, startOwnPostgres } from '../support/own-servers.ts';
import { testBrokerUrl } from '../support/servers.ts';

let own: OwnPostgres;
let client: pg.Client;
beforeAll(async () => {
  own = await startOwnPostgres({ fsync: false });
  client = await connected();
}, 120_000);
afterAll(async () => {
  await client.end();
  await own.remove();
});

async function connected(): Promise<pg.Client> {
  const made = new pg.Client({ connectionString: own.url });
  made.on('error', () => undefined);
  await made.connect();
  return made;
}

async function found(databaseUrl: string, schema = 'public'): Promise<ReadonlyMap<ProblemCode, string>> {
  const brokerUrl = testBrokerUrl();
  const service = createService({ appId: 'doctor', brokerUrl, databaseUrl, schema, logLevel: 'silent' });
  try {
    const findings = await service.examine();
    return new Map(findings.flatMap(({ code, text }) => (code === undefined ? [] : [[code, text] as const])));
  } finally {
    await service.close();
  }
}

it('doctor finds COMMITs that wait for a synchronous standby, and none when it is there', async () => {
  expect([...(await found(own.url)).keys()]).not.toContain('database-commits-wait');
  await client.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  await client.query('SELECT pg_reload_conf()');
  const writer = await connected();
  const waiting = () =>
    client.query("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'").then(({ rows }) => rows.length);
  // The setting reaches a session between two of its statements.
  let n = 0;
  const write = () => writer.query(`CREATE TABLE waits_${n++} ()`).catch(() => undefined);
  let last = write();
  await expect
    .poll(async () => {
      if ((await waiting()) === 0) last = write();
      return (await found(own.url)).get('database-commits-wait');
    })
    .toMatch(/^1 COMMIT unanswered for 2 s/);
  await client.query(
    "SET synchronous_commit = local; SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
  );
  await client.query('ALTER SYSTEM RESET synchronous_standby_names');
  await client.query('SELECT pg_reload_conf()');
  await last;
  await writer.end();
  expect([...(await found(own.url)).keys()]).not.toContain('database-commits-wait');
}, 120_000);

it('doctor finds a database that is not UTF8', async () => {
  expect([...(await found(own.url)).keys()]).not.toContain('database-encoding');
  await client.query("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
  const url = new URL(own.url);
  url.pathname = '/latin';
  expect((await found(url.href)).get('database-encoding')).toBe('its encoding is LATIN1');
}, 120_000);

it('doctor names tasks that nobody begins, unless it may not look at them', async () => {
  const schema = 'waiting_tasks';
  const service = createService({ appId: 'doctor', databaseUrl: own.url, schema, logLevel: 'silent' });
  await service.migrate();
  await service.close();
  expect([...(await found(own.url, schema)).keys()]).not.toContain('tasks-waiting');
  await client.query(`INSERT INTO ${schema}.svc_comm_task (id, name, args, queue, result_ttl_ms, due_at)
    VALUES (gen_random_uuid(), 'renamed', '{}', 'q', 1, now() - interval '3 h')`);
  const text = /^renamed: 1 due and not begun, the oldest since \S+Z \(3 h\)$/;
  expect((await found(own.url, schema)).get('tasks-waiting')).toMatch(text);
  await client.query(`CREATE ROLE ${schema} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${schema};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${schema};
    REVOKE ALL ON ${schema}.svc_comm_task FROM ${schema}`);
  const url = new URL(own.url);
  url.username = schema;
  const codes = [...(await found(url.href, schema)).keys()];
  expect(codes).toContain('table-rights');
  expect(codes).not.toContain('tasks-waiting');
}, 120_000);

it.each([
  ['of another table', 'svc_comm_inbox', ['table-rights', 'no-publisher']],
  ['of the outbox', 'svc_comm_outbox', ['table-rights']],
])(
  'doctor looks at the outbox unless it may not: without the rights %s',
  async (_what, table, expected) => {
    const schema = `without_${table}`;
    const service = createService({ appId: 'doctor', databaseUrl: own.url, schema, logLevel: 'silent' });
    await service.migrate();
    await service.publishAggregateEvent({ aggregate: 'a', eventType: 'b', payload: 1 }, { transaction: 'own' });
    await service.close();
    await client.query(`CREATE ROLE ${schema} LOGIN; GRANT USAGE ON SCHEMA ${schema} TO ${schema};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${schema};
    REVOKE ALL ON ${schema}.${table} FROM ${schema}`);
    const url = new URL(own.url);
    url.username = schema;
    const codes = [...(await found(url.href, schema)).keys()];
    expect(codes.filter((code) => code === 'table-rights' || code === 'no-publisher')).toEqual(expected);
  },
  120_000,
);
