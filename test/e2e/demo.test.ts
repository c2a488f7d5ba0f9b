import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, describe, expect, it } from 'vitest';
import { bin, Running } from '../support/cli-project.ts';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';

/** A folder with nothing in it: the demo needs no project. */
const folder = mkdtempSync(join(tmpdir(), 'svc-comm-demo-'));
afterAll(() => rmSync(folder, { recursive: true }));

const start = (...args: string[]) =>
  new Running(spawn(process.execPath, [bin, 'demo', ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }));
const onServers = ['--broker-url', testBrokerUrl(), '--database-url', testDatabaseUrl()];

async function run(...args: string[]) {
  const demo = start(...args);
  const code = await demo.exit;
  // The pipes may end after the process.
  await Promise.all([demo.child.stdout, demo.child.stderr].map((pipe) => pipe && !pipe.closed && once(pipe, 'close')));
  return { code, lines: demo.lines };
}
const figure = (lines: readonly string[], name: string) =>
  lines.find((line) => new RegExp(`^ +${name} +\\d+ +(ok|WRONG)`).test(line))?.trim();

describe('svc-comm demo', () => {
  it('with nothing but Node shows both services at work and ends with figures that agree', async () => {
    const { code, lines } = await run();
    expect(lines.join('\n')).toContain('Every order had its one effect');
    expect(figure(lines, 'rolled back')).toMatch(/10 +ok/);
    expect(figure(lines, 'dead-lettered')).toMatch(/1 +ok/);
    expect(figure(lines, 'duplicates')).toMatch(/0 +ok/);
    expect(figure(lines, 'lost')).toMatch(/0 +ok/);
    expect(code).toBe(0);
  });

  it('without the inbox finds the duplicates and exits 1', async () => {
    const { code, lines } = await run('--sabotage', 'no-inbox');
    expect(figure(lines, 'duplicates')).toMatch(/[1-9]\d* +WRONG/);
    expect(lines).toContain('The figures do not agree.');
    expect(code).toBe(1);
  });

  it('on real servers says the same, as one JSON value with --json, and leaves nothing behind', async () => {
    const { code, lines } = await run(...onServers, '--json');
    const report = JSON.parse(lines.find((line) => line.startsWith('{')) ?? '');
    expect(report).toMatchObject({
      ok: true,
      figures: { written: 50, handled: 50, duplicates: 0, lost: 0, ghosts: 0 },
    });
    expect(code).toBe(0);
    expect(await remains()).toEqual([]);
  });

  it('stopped in the middle takes away what it made', async () => {
    const demo = start(...onServers);
    const line = await demo.line('order 3 is shipped');
    expect(await demo.stop('SIGINT')).toBe(1);
    expect(line).toContain('handled');
    expect(demo.lines).toContain('the demo was stopped; what it had made on the servers is taken away');
    expect(await remains()).toEqual([]);
  });

  it('says which server does not answer, with exit code 1', async () => {
    const { code, lines } = await run(
      '--broker-url',
      'amqp://guest:guest@127.0.0.1:1',
      '--database-url',
      testDatabaseUrl(),
    );
    expect(lines.join('\n')).toContain('SVC_COMM_BROKER_UNAVAILABLE');
    expect(code).toBe(1);
  });
});

/** Schemas that runs of the demo have left. No other test file runs it. */
async function remains(): Promise<string[]> {
  const database = new pg.Client({ connectionString: testDatabaseUrl() });
  await database.connect();
  const { rows } = await database.query<{ name: string }>(
    `SELECT nspname AS name FROM pg_namespace WHERE nspname ~ '^demo_[0-9a-f]{6}_(shop|post)$'`,
  );
  await database.end();
  return rows.map(({ name }) => name);
}
