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

async function found(databaseUrl: string): Promise<ReadonlyMap<ProblemCode, string>> {
  const service = createService({ appId: 'doctor', brokerUrl: testBrokerUrl(), databaseUrl, logLevel: 'silent' });
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
