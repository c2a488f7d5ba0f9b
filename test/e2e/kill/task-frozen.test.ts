/**
 * A worker that stands still for longer than its lease (SIGSTOP, as a frozen machine does) and goes on: its task is
 * another's by then, and whatever it still writes is not accepted. `TASK_FROZEN_TIMES=200` makes it the long run.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createService, type SvcCommService } from '../../../src/assemble.ts';
import { silentLogger } from '../../../src/lifecycle/logger.ts';
import { arg } from '../../../src/task/argument.ts';
import { task } from '../../../src/task/definition.ts';
import { TaskRegistry } from '../../../src/task/registry.ts';
import type { Tasks } from '../../../src/task/tasks.ts';
import { bin, CliProject, type Running } from '../../support/cli-project.ts';
import { testBrokerUrl, testDatabaseUrl } from '../../support/servers.ts';

const TIMES = Number(process.env.TASK_FROZEN_TIMES ?? 2);
const LEASE_MS = 2_000;

/** The first run ends while its worker stands still: its result waits in the pipe. */
const SOURCE = `
import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { arg, task } from 'svc-comm/task';

export const gated = task({ name: 'gated', args: { file: arg.string() }, retry: { handOvers: 3 } }, async ({ file }, { attempt }) => {
  appendFileSync(file, 'begin ' + attempt + '\\n');
  while (!existsSync(file + '.open')) await sleep(10);
  appendFileSync(file, 'end ' + attempt + '\\n');
  return attempt;
});
`;

const project = new CliProject({ 'src/tasks.js': SOURCE });
const database = new pg.Pool({ connectionString: testDatabaseUrl(), max: 2 });
const table = (name: string) => `"${project.name}".${name}`;
let service: SvcCommService;
let tasks: Tasks;

beforeAll(async () => {
  expect(await project.cli('migrate')).toMatchObject({ code: 0 });
  // Every end that a row takes is written down, with the attempt that it was for.
  await database.query(`
    CREATE TABLE ${table('ended')} (id uuid, attempt int, state text);
    CREATE FUNCTION ${table('note_end')}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO ${table('ended')} VALUES (NEW.id, OLD.attempt, NEW.state);
      RETURN NULL;
    END $$;
    CREATE TRIGGER note_end AFTER UPDATE ON ${table('svc_comm_task')} FOR EACH ROW
      WHEN (NEW.state NOT IN ('PENDING', 'STARTED')) EXECUTE FUNCTION ${table('note_end')}();`);
  const registry = new TaskRegistry();
  registry.add(task({ name: 'gated', args: { file: arg.string() }, retry: { handOvers: 3 } }, () => undefined));
  const { name: appId, queue } = project;
  const settings = { appId, queue, schema: appId, brokerUrl: testBrokerUrl(), databaseUrl: testDatabaseUrl() };
  service = createService(settings, { logger: silentLogger, taskRegistry: registry });
  await service.relay().start();
  tasks = await service.tasks();
});
afterAll(async () => {
  await service.close();
  await database.end();
  const broker = await connect(testBrokerUrl());
  await (await broker.createChannel()).deleteQueue(`${project.queue}.tasks`);
  await broker.close();
  await project.remove();
});

const startWorker = (): Running =>
  project.start([bin, 'runworker'], {
    SVC_COMM_WORKER_LEASE: `${LEASE_MS}ms`,
    SVC_COMM_WORKER_GRACE: '300ms',
    SVC_COMM_WORKER_CONCURRENCY: '1',
    SVC_COMM_WORKER_SPARE: '1',
    SVC_COMM_LOG_LEVEL: 'warn',
  });

it(
  'what a worker writes of a task that was handed over while it stood still is not accepted',
  async () => {
    let [frozen, other] = [startWorker(), undefined as Running | undefined];
    for (let time = 1; time <= TIMES; time++) {
      const file = join(project.root, `run-${time}`);
      const lines = () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);
      const handle = await tasks.submit('gated', { file });
      await expect.poll(lines, { timeout: 60_000 }).toEqual(['begin 1']);
      frozen.child.kill('SIGSTOP');
      other ??= startWorker();
      await expect.poll(lines, { timeout: 60_000 }).toContain('begin 2');
      // Both runs end now: one tells a worker that stands still, the other one that has the lease.
      project.write(`run-${time}.open`, '');
      expect(await handle.result({ timeout: 60 })).toBe(2);
      await expect.poll(lines, { timeout: 60_000 }).toHaveLength(4);
      const from = frozen.lines.length;
      frozen.child.kill('SIGCONT');
      // It says so either way: that its lease was over when it came to itself, or that the row took no end of its run.
      await Promise.race(['lease of a task', 'not ours any more'].map((text) => frozen.line(text, from)));
      // The next task finds the other one idle, and this one too: a message may go to either.
      await other.stop('SIGTERM');
      other = undefined;
      const after = await tasks.submit('gated', { file });
      expect(await after.result({ timeout: 60 })).toBe(1);
      const { rows } = await database.query(`SELECT attempt, state FROM ${table('ended')} WHERE id = $1`, [handle.id]);
      expect(rows).toEqual([{ attempt: 2, state: 'SUCCESS' }]);
      expect(await handle.record()).toMatchObject({ state: 'SUCCESS', result: 2, attempt: 2 });
      if (time % 20 === 0) frozen = await renewed(frozen);
    }
    await frozen.stop('SIGTERM');
    const { rows } = await database.query(
      `SELECT count(*)::int AS n FROM ${table('ended')} e JOIN ${table('svc_comm_task')} t USING (id) WHERE e.attempt <> t.attempt`,
    );
    console.log(JSON.stringify({ frozen: TIMES, staleWritesAccepted: rows[0].n }));
    expect(rows[0].n).toBe(0);
  },
  60_000 + TIMES * 60_000,
);

/** One that has stood still for an hour in all has enough. */
async function renewed(worker: Running): Promise<Running> {
  await worker.stop('SIGTERM');
  return startWorker();
}
