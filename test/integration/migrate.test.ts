import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SqlExecutor } from '../../src/database/executor.ts';
import { migrate, pendingMigrations } from '../../src/database/migrate.ts';
import { DatabasePool } from '../../src/database/pool.ts';
import type { TableHolder } from '../../src/errors.ts';
import { packageRoot } from '../../src/util/own-files.ts';
import { sleep } from '../../src/util/sleep.ts';
import { testDatabaseUrl, uniqueName } from '../support/servers.ts';

const pool = new DatabasePool({ url: testDatabaseUrl() });
const schemas: string[] = [];

const freshSchema = (suffix = ''): string => {
  const schema = `${uniqueName('migrate')}${suffix}`;
  schemas.push(schema);
  return schema;
};

beforeAll(() => pool.start());
afterAll(async () => {
  for (const schema of schemas) await pool.knex.raw('DROP SCHEMA IF EXISTS ?? CASCADE', [schema]);
  await pool.stop();
});

const tables = async (schema: string): Promise<string[]> => {
  const { rows } = await pool.knex.raw('SELECT tablename FROM pg_tables WHERE schemaname = ? ORDER BY 1', [schema]);
  return rows.map((row: { tablename: string }) => row.tablename);
};

const asExecutor = (): SqlExecutor => ({ query: async (sql) => (await pool.knex.raw(sql)).rows });

test('makes the schema and the tables, says what ran, and has nothing to do the second time', async () => {
  const schema = freshSchema(' "Ü$1');
  const pending = await pendingMigrations(asExecutor(), { schema });
  expect(pending.slice(0, 2)).toEqual(['001_outbox.sql', '002_inbox.sql']);
  expect(await migrate(pool.knex, { schema })).toEqual(pending);
  expect(await tables(schema)).toEqual(
    expect.arrayContaining(['svc_comm_future', 'svc_comm_inbox', 'svc_comm_outbox', 'svc_comm_parked_key']),
  );
  expect(await migrate(pool.knex, { schema })).toEqual([]);
  expect(await pendingMigrations(asExecutor(), { schema })).toEqual([]);
});

test('docs/events.md names every table', async () => {
  const schema = freshSchema();
  await migrate(pool.knex, { schema });
  const page = readFileSync(join(packageRoot(), 'docs/events.md'), 'utf8');
  const named = [...page.slice(page.indexOf('## Tables')).matchAll(/`(svc_comm_\w+)`/g)].map(([, name]) => name);
  expect(named.toSorted()).toEqual((await tables(schema)).filter((name) => !name.endsWith('_lock')));
});

test.each(['', 'x'.repeat(64), 'a?b', 'a\0b'])('schema %j is refused', async (schema) => {
  await expect(migrate(pool.knex, { schema })).rejects.toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT' });
});

test('looking for what is pending makes nothing', async () => {
  const schema = freshSchema();
  await pendingMigrations(asExecutor(), { schema });
  const { rows } = await pool.knex.raw('SELECT 1 FROM pg_namespace WHERE nspname = ?', [schema]);
  expect(rows).toEqual([]);
});

test('four processes at once: one runs the files, the others wait and carry on', async () => {
  const schema = freshSchema();
  const source = `
    import { migrate } from ${JSON.stringify(pathToFileURL(join(packageRoot(), 'src/database/migrate.ts')))};
    import { DatabasePool } from ${JSON.stringify(pathToFileURL(join(packageRoot(), 'src/database/pool.ts')))};
    const pool = new DatabasePool({ url: process.env.URL });
    await pool.start();
    console.log(JSON.stringify(await migrate(pool.knex, { schema: process.env.SCHEMA })));
    await pool.stop();`;
  const runs = await Promise.all(
    Array.from({ length: 4 }, () => run(source, { URL: testDatabaseUrl(), SCHEMA: schema })),
  );
  expect(runs.map(({ code, errors }) => `${code} ${errors}`)).toEqual(Array(4).fill('0 '));
  const ran = runs.map(({ output }) => JSON.parse(output) as string[]).filter((files) => files.length > 0);
  expect(ran).toHaveLength(1);
  expect(await pendingMigrations(asExecutor(), { schema })).toEqual([]);
});

test('the files are found from dist inside node_modules of another project', async () => {
  const project = mkdtempSync(join(tmpdir(), 'svc-comm-migrate-'));
  try {
    const home = join(project, 'node_modules', 'svc-comm');
    mkdirSync(join(home, 'dist'), { recursive: true });
    for (const part of ['package.json', 'migrations'])
      cpSync(join(packageRoot(), part), join(home, part), { recursive: true });
    cpSync(join(packageRoot(), 'src'), join(home, 'dist', 'src'), { recursive: true });
    symlinkSync(join(packageRoot(), 'node_modules'), join(home, 'node_modules'));
    const module = pathToFileURL(join(home, 'dist/src/util/own-files.ts'));
    const { output, errors } = await run(
      `import { packageRoot } from ${JSON.stringify(module)}; console.log(packageRoot());`,
      {},
    );
    expect(errors).toBe('');
    expect(output.trim()).toBe(home);
  } finally {
    rmSync(project, { recursive: true });
  }
});

/** As before `006_process.sql`, which changes a table that others use meanwhile. */
async function olderSchema(): Promise<string> {
  const schema = freshSchema();
  await migrate(pool.knex, { schema });
  await pool.knex.raw(
    `DROP TRIGGER svc_comm_task_process ON :s:.svc_comm_task; DROP FUNCTION :s:.svc_comm_process_follow;
     ALTER TABLE :s:.svc_comm_task DROP COLUMN process_instance;
     DROP TABLE :s:.svc_comm_process_task, :s:.svc_comm_process_instance;
     DELETE FROM :s:.svc_comm_migrations WHERE name >= '006'`.replaceAll(':s:', `"${schema}"`),
  );
  return schema;
}

describe('a table that a transaction has locked', () => {
  const holder = new pg.Client({ connectionString: testDatabaseUrl(), application_name: 'a report' });
  beforeAll(() => holder.connect());
  afterAll(() => holder.end());

  test('holds up who else uses it for a while at a time while it waits to be changed, and not to its end', async () => {
    const schema = await olderSchema();
    const table = `"${schema}".svc_comm_task`;
    await holder.query(`BEGIN; SELECT count(*) FROM ${table}`);
    const blocked: (readonly TableHolder[])[] = [];
    const done = migrate(pool.knex, { schema, onBlocked: (holders) => blocked.push(holders) });
    const heldUpMs: number[] = [];
    const began = performance.now();
    while (blocked.length < 3) {
      const before = performance.now();
      await pool.knex.raw(`UPDATE ${table} SET note = NULL`);
      heldUpMs.push(performance.now() - before);
      await sleep(5);
    }
    const totalMs = performance.now() - began;
    await holder.query('COMMIT');
    expect((await done).slice(0, 1)).toEqual(['006_process.sql']);
    expect(await pendingMigrations(asExecutor(), { schema })).toEqual([]);
    // It did stand behind the migration, so that what is measured is there.
    expect(Math.max(...heldUpMs)).toBeGreaterThan(500);
    expect(Math.max(...heldUpMs)).toBeLessThan(0.7 * totalMs);
    const { rows } = await holder.query('SELECT pg_backend_pid() AS pid');
    // The oldest first: the updates of this test may be among them.
    expect(blocked[0]?.[0]).toEqual({
      pid: rows[0].pid,
      application: 'a report',
      seconds: expect.any(Number),
      isIdle: true,
    });
  });

  test('is named with who has it when nobody is to wait for it, and nothing was changed', async () => {
    const schema = await olderSchema();
    await holder.query(`BEGIN; SELECT count(*) FROM "${schema}".svc_comm_task`);
    const refused = migrate(pool.knex, { schema, wait: false });
    await expect(refused).rejects.toMatchObject({
      code: 'SVC_COMM_MIGRATION_BLOCKED',
      schema,
      holders: [{ application: 'a report', isIdle: true }],
    });
    await expect(refused).rejects.toThrow(
      /of "a report", whose transaction began \d+ s ago and waits for its client; end/,
    );
    await holder.query('COMMIT');
    expect(await pendingMigrations(asExecutor(), { schema })).toContain('006_process.sql');
    expect(await migrate(pool.knex, { schema, wait: false })).toContain('006_process.sql');
  });
});

test.each([
  ['another migration', (schema: string) => `SELECT pg_advisory_xact_lock(${0x5c0d}, hashtext('${schema}'))`],
  ['a table', (schema: string) => `LOCK TABLE "${schema}".svc_comm_task IN ACCESS SHARE MODE`],
])('a limit for the statements of its session does not end the wait for %s', async (_, hold) => {
  const schema = await olderSchema();
  const url = new URL(testDatabaseUrl());
  url.searchParams.set('options', '-c statement_timeout=300');
  const limited = new DatabasePool({ url: url.href });
  const holder = new pg.Client({ connectionString: testDatabaseUrl() });
  await Promise.all([limited.start(), holder.connect()]);
  try {
    await holder.query(`BEGIN; ${hold(schema)}`);
    const migrated = migrate(limited.knex, { schema });
    const released = holder.query('SELECT pg_sleep(1); COMMIT');
    expect(await migrated).toContain('006_process.sql');
    await released;
  } finally {
    await Promise.all([limited.stop(), holder.end()]);
  }
});

async function run(
  source: string,
  env: Record<string, string>,
): Promise<{ code: unknown; output: string; errors: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
    cwd: packageRoot(),
    env: { ...process.env, ...env },
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  return { code, output, errors };
}

test('a user that may not make tables is told so in one sentence, without the statement', async () => {
  const role = uniqueName('may_not');
  const schema = uniqueName('theirs');
  const outside = new pg.Client({ connectionString: testDatabaseUrl() });
  await outside.connect();
  await outside.query(`CREATE ROLE ${role} LOGIN; CREATE SCHEMA ${schema}`);
  const url = new URL(testDatabaseUrl());
  url.username = role;
  const weak = new DatabasePool({ url: url.href });
  try {
    await weak.start();
    const said = {
      code: 'SVC_COMM_MIGRATION_RIGHTS',
      message: expect.not.stringMatching(/create table/i),
    };
    await expect(migrate(weak.knex, { schema })).rejects.toMatchObject(said);
    await expect(migrate(weak.knex, { schema })).rejects.toThrow(`permission denied for schema ${schema}; run`);
  } finally {
    await weak.stop();
    await outside.query(`DROP SCHEMA ${schema} CASCADE; DROP ROLE ${role}`);
    await outside.end();
  }
});
