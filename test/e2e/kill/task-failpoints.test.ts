/**
 * A worker killed with -9 at each step of a task: what becomes of the task then. The steps are caught as frames on the way
 * to the database where there are such, and by what the task's process does where there are none.
 * `TASK_FAILPOINT_TIMES=20` kills that often at each.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createService, type SvcCommService } from '../../../src/assemble.ts';
import { TaskLostError, TaskRevokedError } from '../../../src/errors.ts';
import { silentLogger } from '../../../src/lifecycle/logger.ts';
import { arg } from '../../../src/task/argument.ts';
import { task } from '../../../src/task/definition.ts';
import type { TaskHandle } from '../../../src/task/handle.ts';
import { TaskRegistry } from '../../../src/task/registry.ts';
import type { Tasks } from '../../../src/task/tasks.ts';
import { deferred } from '../../../src/util/deferred.ts';
import type { Direction } from '../../faults/proxy/frame-proxy.ts';
import { type PgFrame, type PgProxy, pgProxy } from '../../faults/proxy/pg-session.ts';
import { bin, CliProject, type Running } from '../../support/cli-project.ts';
import { processesIn } from '../../support/processes.ts';
import { testBrokerUrl, testDatabaseUrl } from '../../support/servers.ts';

const TIMES = Number(process.env.TASK_FAILPOINT_TIMES ?? 1);
const RESULT_S = 60;

/** The first starts a process in a session of its own that heeds no SIGTERM; `slow-load` keeps whoever loads it. */
const SOURCE = `
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { arg, task } from 'svc-comm/task';

const note = (file, text) => appendFileSync(file, text + '\\n');
const args = { file: arg.string(), ms: arg.integer() };
while (existsSync('slow-load')) await sleep(20);

const stay = async ({ file, ms }, { attempt }) => {
  process.on('SIGTERM', () => note(file, 'term ' + attempt));
  if (ms > 0) spawn('setsid', ['sh', '-c', "trap '' TERM; while :; do sleep 0.1; done"], { stdio: 'ignore' }).unref();
  note(file, 'begin ' + attempt);
  if (attempt === 1) await sleep(ms);
  note(file, 'end ' + attempt);
  return attempt;
};
export const again = task({ name: 'again', args }, stay);
export const once = task({ name: 'once', args, retry: { handOvers: 0 } }, stay);
`;

const args = { file: arg.string(), ms: arg.integer() };
const project = new CliProject({ 'src/tasks.js': SOURCE });
const inProject = (name: string) => join(project.root, name);
let service: SvcCommService;
let tasks: Tasks;
let proxy: PgProxy;
let files = 0;

beforeAll(async () => {
  expect(await project.cli('migrate')).toMatchObject({ code: 0 });
  const registry = new TaskRegistry();
  registry.add(
    task({ name: 'again', args }, () => undefined),
    task({ name: 'once', args, retry: { handOvers: 0 } }, () => undefined),
  );
  const { name: appId, queue } = project;
  const settings = { appId, queue, schema: appId, brokerUrl: testBrokerUrl(), databaseUrl: testDatabaseUrl() };
  service = createService(settings, { logger: silentLogger, taskRegistry: registry });
  await service.relay().start();
  tasks = await service.tasks();
  proxy = await pgProxy(testDatabaseUrl());
});
afterAll(async () => {
  await service.close();
  await proxy.close();
  const broker = await connect(testBrokerUrl());
  await (await broker.createChannel()).deleteQueue(`${project.queue}.tasks`);
  await broker.close();
  await project.remove();
});

const startWorker = (more: NodeJS.ProcessEnv = {}): Running =>
  project.start([bin, 'runworker'], {
    SVC_COMM_WORKER_LEASE: '2s',
    SVC_COMM_WORKER_GRACE: '5s',
    SVC_COMM_WORKER_CONCURRENCY: '1',
    SVC_COMM_WORKER_SPARE: '1',
    SVC_COMM_LOG_LEVEL: 'error',
    ...more,
  });
const isClaim = ({ sql }: PgFrame) => sql?.includes('attempt = t.attempt + 1') === true;
const isFinish = ({ sql }: PgFrame) => sql?.includes('r.retry_ms IS NULL THEN r.state') === true;

interface Step {
  readonly name?: 'again' | 'once';
  /** How long the first run takes; more than 0: with a process that leaves its group. */
  readonly ms?: number;
  /** Caught at this frame, which is not passed on. */
  readonly at?: (frame: PgFrame, direction: Direction) => boolean;
  /** Caught when this has come true. */
  readonly when?: (lines: () => string[], handle: TaskHandle) => Promise<unknown>;
  readonly environment?: NodeJS.ProcessEnv;
  /** Done when the worker is about to start, before the task is submitted. */
  readonly first?: () => Promise<unknown>;
}

/** Kills the worker at the step, waits until nothing of it is left, and lets another one come. */
async function killAt({ name = 'again', ms = 0, at, when, first, environment }: Step) {
  const file = inProject(`runs-${++files}`);
  const lines = () => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);
  const caught = deferred();
  if (at) {
    proxy.rule = (frame, direction) => {
      if (!at(frame, direction)) return 'pass';
      caught.resolve();
      return 'hold-both';
    };
  }
  const victim = startWorker({ SVC_COMM_DATABASE_URL: proxy.url(testDatabaseUrl()), ...environment });
  await first?.();
  const handle = await tasks.submit(name, { file, ms });
  await (when ? when(lines, handle) : caught.promise);
  const before = { lines: lines(), row: await handle.record() };
  await victim.stop('SIGKILL');
  // What was held dies with the worker: passed on by the proxy, it would still be done.
  proxy.cut();
  proxy.heal();
  await expect.poll(() => processesIn(project.root), { timeout: 10_000, interval: 20 }).toEqual([]);
  rmSync(inProject('slow-load'), { force: true });
  const survivor = startWorker();
  const end = await handle.result({ timeout: RESULT_S }).catch((error: unknown) => error);
  const row = await handle.record();
  await survivor.stop('SIGTERM');
  return { before, end, row, runs: lines().filter((line) => line.startsWith('begin')) };
}

describe.each(Array.from({ length: TIMES }, (_, n) => n + 1))('killed for the %ith time', () => {
  const slow = { timeout: 180_000 };

  it('T1, before the claim: the message comes again, and the task is begun once', slow, async () => {
    const { before, end, row, runs } = await killAt({ at: (frame) => frame.kind === 'bind' && isClaim(frame) });
    expect(before.row).toMatchObject({ state: 'PENDING', attempt: 0 });
    expect([end, row.attempt, runs]).toEqual([1, 1, ['begin 1']]);
  });

  it('T1, the claim written and not heard of: handed over at the end of the lease, begun once', slow, async () => {
    const { end, row, runs } = await killAt({ at: (frame) => frame.kind === 'complete' && isClaim(frame) });
    expect([end, row.attempt, runs]).toEqual([2, 2, ['begin 2']]);
  });

  it('T2, the process started and not ready: it goes with its worker, the task is handed over', slow, async () => {
    const { before, end, row, runs } = await killAt({
      environment: { SVC_COMM_WORKER_SPARE: '0' },
      // A first task takes the process that is ready; the next one is started on demand, and stays where it loads.
      first: async () => {
        const args = { file: inProject('first'), ms: 0 };
        await (await tasks.submit('again', args)).result({ timeout: RESULT_S });
        await expect.poll(() => processesIn(project.root).length, { timeout: 20_000 }).toBe(1);
        writeFileSync(inProject('slow-load'), '');
      },
      when: async (_, handle) => {
        await expect.poll(() => handle.state(), { timeout: 60_000 }).toBe('STARTED');
        await expect.poll(() => processesIn(project.root).length, { timeout: 20_000 }).toBeGreaterThan(1);
      },
    });
    expect(before.row).toMatchObject({ state: 'STARTED', attempt: 1 });
    expect([end, row.attempt, runs]).toEqual([2, 2, ['begin 2']]);
  });

  it('T3, while it runs: every process of it goes, and it is begun anew', slow, async () => {
    const when = (lines: () => string[]) => expect.poll(lines, { timeout: 60_000 }).toEqual(['begin 1']);
    const { end, row, runs } = await killAt({ ms: 60_000, when });
    expect([end, row.attempt, runs]).toEqual([2, 2, ['begin 1', 'begin 2']]);
  });

  it('T3, with no hand-over left: it is LOST, and not begun again', slow, async () => {
    const when = (lines: () => string[]) => expect.poll(lines, { timeout: 60_000 }).toEqual(['begin 1']);
    const { end, row, runs } = await killAt({ name: 'once', ms: 60_000, when });
    expect(end).toBeInstanceOf(TaskLostError);
    expect([row.state, row.attempt, runs]).toEqual(['LOST', 1, ['begin 1']]);
  });

  it('T4, the result there and not written: it is thrown away, and the run repeated', slow, async () => {
    const { before, end, row, runs } = await killAt({ at: (frame) => frame.kind === 'bind' && isFinish(frame) });
    expect(before).toMatchObject({ lines: ['begin 1', 'end 1'], row: { state: 'STARTED' } });
    expect([end, row.attempt, runs]).toEqual([2, 2, ['begin 1', 'begin 2']]);
  });

  it('T4, with no hand-over left: it is LOST', slow, async () => {
    const at = (frame: PgFrame) => frame.kind === 'bind' && isFinish(frame);
    const { end, row, runs } = await killAt({ name: 'once', at });
    expect(end).toBeInstanceOf(TaskLostError);
    expect([row.state, row.attempt, runs]).toEqual(['LOST', 1, ['begin 1']]);
  });

  it('T5, the end written and not heard of: the state stands, whoever waits reads it', slow, async () => {
    const { end, row, runs } = await killAt({ at: (frame) => frame.kind === 'complete' && isFinish(frame) });
    expect([end, row.state, row.attempt, runs]).toEqual([1, 'SUCCESS', 1, ['begin 1']]);
  });

  it('T6, in the grace time of a cancel: it is REVOKED, and no process of it survives', slow, async () => {
    const { before, end, row, runs } = await killAt({
      ms: 60_000,
      when: async (lines, handle) => {
        await expect.poll(lines, { timeout: 60_000 }).toEqual(['begin 1']);
        void handle.cancel({ timeout: RESULT_S }).catch(() => undefined);
        await expect.poll(lines, { timeout: 20_000 }).toEqual(['begin 1', 'term 1']);
      },
    });
    expect(before.row).toMatchObject({ state: 'STARTED', isCancelRequested: true });
    expect(end).toBeInstanceOf(TaskRevokedError);
    expect([row.state, row.attempt, runs]).toEqual(['REVOKED', 1, ['begin 1']]);
  });
});
