/**
 * A server killed with -9 between each two steps of creating an instance, a worker killed while it runs a task, and
 * everything killed while a task waits for its time: either there is no instance and nothing ran, or each of its tasks
 * reaches an end.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bin, CliProject, type Running } from '../../support/cli-project.ts';
import { json, request } from '../../support/fastify-kit.ts';
import { GateProxy, type Passing } from '../../support/gate-proxy.ts';
import { testBrokerUrl, testDatabaseUrl } from '../../support/servers.ts';

/** Each task leaves a line for what it did; the one that the body names stands still when it has. */
const STEPS = `
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

async function effect(name, { body, instanceId }) {
  appendFileSync('effects', instanceId + ' ' + name + '\\n');
  if (body.hangs === name) await sleep(60_000);
  return name;
}
export const first = (request) => effect('first', request);
export const second = (request) => effect('second', request);
export const now = (request) => effect('now', request);
export const later = (request) => effect('later', request);
`;
const PROCESS = `
id: order
tasksSync: [steps.first, steps.second]
tasksAsync: [steps.now, [steps.later, { delay: 300ms }]]
---
id: patient
tasksSync: [steps.first]
tasksAsync: [[steps.later, { delay: 6s }]]
`;

const ENVIRONMENT = {
  SVC_COMM_INSTANCES_LEASE: '1s',
  SVC_COMM_WORKER_LEASE: '1s',
  SVC_COMM_WORKER_GRACE: '200ms',
  SVC_COMM_WORKER_CONCURRENCY: '2',
  SVC_COMM_WORKER_SPARE: '1',
};

const project = new CliProject({ 'processes/order.yml': PROCESS, 'tasks/custom/steps.js': STEPS });
const database = new pg.Pool({ connectionString: testDatabaseUrl(), max: 2 });
const table = (name: string) => `"${project.name}".${name}`;
let proxy: GateProxy;
let server: Running;
let base: string;
let worker: Running;
let publisher: Running;

interface Row {
  readonly state: string;
  readonly tasks: Readonly<Record<string, string>>;
}

async function startServer(): Promise<void> {
  server = project.start([bin, 'serve', '--port', '0'], {
    ...ENVIRONMENT,
    SVC_COMM_DATABASE_URL: proxy.url(testDatabaseUrl()),
  });
  base = /http:\/\/127\.0\.0\.1:\d+/.exec(await server.line('listening on'))?.[0] ?? '';
}

async function startWorkers(): Promise<void> {
  worker = project.start([bin, 'runworker'], ENVIRONMENT);
  publisher = project.start([bin, 'runpublisher'], ENVIRONMENT);
  await Promise.all([worker.line('taking tasks'), publisher.line('publishing from the outbox')]);
}

const put = (id: string, body: object = {}, process = 'order') =>
  request(`${base}/${process}/${id}`, { ...json(body), method: 'PUT' });

function effectsOf(id: string): string[] {
  try {
    const lines = readFileSync(join(project.root, 'effects'), 'utf8').split('\n');
    return lines.filter((line) => line.startsWith(id)).map((line) => line.split(' ')[1] ?? '');
  } catch {
    return [];
  }
}

async function rowOf(id: string): Promise<Row | undefined> {
  const { rows } = await database.query(
    `SELECT i.state, json_object_agg(replace(t.name, 'steps.', ''), t.status) AS tasks
       FROM ${table('svc_comm_process_instance')} i JOIN ${table('svc_comm_process_task')} t ON t.instance_id = i.id
      WHERE i.id = $1 GROUP BY i.id`,
    [id],
  );
  return rows[0];
}

const isOver = (row: Row | undefined): boolean => row === undefined || !['New', 'Running'].includes(row.state);

/** What became of an instance, once nothing more will. */
async function settled(id: string): Promise<Row | undefined> {
  await expect.poll(async () => isOver(await rowOf(id)), { timeout: 40_000, interval: 100 }).toBe(true);
  return rowOf(id);
}

/** Whether what the rows say and what was done are one. */
function expectWhole(row: Row | undefined, effects: readonly string[]): void {
  if (row === undefined) {
    expect(effects).toEqual([]);
    return;
  }
  if (row.state === 'Complete') {
    expect(row.tasks).toEqual({ first: 'SUCCESS', second: 'SUCCESS', now: 'SUCCESS', later: 'SUCCESS' });
    expect([...effects].sort()).toEqual(['first', 'later', 'now', 'second']);
    return;
  }
  expect(row.state).toBe('Failed');
  expect(row.tasks).toMatchObject({ now: 'SKIPPED', later: 'SKIPPED' });
  for (const [name, status] of Object.entries(row.tasks)) {
    expect(['SUCCESS', 'LOST', 'SKIPPED'], name).toContain(status);
    if (status === 'SUCCESS') expect(effects).toContain(name);
    if (status === 'SKIPPED') expect(effects).not.toContain(name);
  }
}

beforeAll(async () => {
  expect(await project.cli('migrate')).toMatchObject({ code: 0 });
  proxy = await GateProxy.to(testDatabaseUrl(), 5432);
  await Promise.all([startServer(), startWorkers()]);
});
afterAll(async () => {
  await Promise.all([server, worker, publisher].map((one) => one.stop('SIGKILL')));
  await proxy.close();
  await database.end();
  const broker = await connect(testBrokerUrl());
  await (await broker.createChannel()).deleteQueue(`${project.queue}.tasks`);
  await broker.close();
  await project.remove();
});

type Gate = (passing: Passing) => boolean;

/** The nth time that the server sends this, and the answer to it. @param behind what the connection has sent before */
const nth = (n: number, text: string, behind = ''): { readonly sent: () => Gate; readonly answered: () => Gate } => {
  const sent = (): Gate => {
    let seen = 0;
    const isMeant = (passing: Passing) => passing.text.includes(text) && passing.sent.includes(behind);
    return (passing) => passing.direction === 'to-server' && isMeant(passing) && ++seen === n;
  };
  const answered = (): Gate => {
    const isSent = sent();
    let hasPassed = false;
    return (passing) => {
      hasPassed ||= isSent(passing);
      const isOfThat = passing.sent.includes(text) && passing.sent.includes(behind);
      return hasPassed && passing.direction === 'to-client' && isOfThat;
    };
  };
  return { sent, answered };
};

/** In the order that a creation sends them, with what it must have come to when the server dies behind it. */
const STATEMENTS = [
  ['the instance', nth(1, 'svc_comm_create_instance'), 'Failed'],
  ['the start of the first task', nth(1, 'svc_comm_advance_instance'), 'Failed'],
  ['the end of the first task', nth(2, 'svc_comm_advance_instance'), 'Failed'],
  ['the hand-over', nth(1, 'svc_comm_settle_instance'), 'Failed'],
  ['the first asynchronous task', nth(1, 'svc_comm_task_send'), 'Failed'],
  ['the second asynchronous task', nth(2, 'svc_comm_submit_task'), 'Failed'],
  ['the tasks that are tied to it', nth(1, 'SET process_instance'), 'Failed'],
  ['COMMIT', nth(1, 'COMMIT', 'SET process_instance'), 'Complete'],
] as const;

describe('a server that is killed', () => {
  it.each(STATEMENTS.map(([what, gate], index) => [what, gate, STATEMENTS[index - 1]?.[2]] as const))(
    'before %s is written leaves no instance, or one that comes to its end',
    async (_what, gate, end) => {
      const id = randomUUID();
      const reached = proxy.arm(gate.sent());
      void put(id).catch(() => undefined);
      await reached;
      await server.stop('SIGKILL');
      proxy.cut();
      await startServer();
      const row = await settled(id);
      expect(row?.state).toBe(end);
      expectWhole(row, effectsOf(id));
      // The same request again: made now, or what became of the first.
      const again = await put(id);
      expect(again.status).toBe(row === undefined ? 201 : 502);
      expectWhole(await settled(id), effectsOf(id));
    },
  );

  it.each(STATEMENTS)('when %s is written, and it does not know, as well', async (_what, gate, end) => {
    const id = randomUUID();
    const reached = proxy.arm(gate.answered());
    void put(id).catch(() => undefined);
    await reached;
    await server.stop('SIGKILL');
    proxy.cut();
    await startServer();
    const row = await settled(id);
    expect(row?.state).toBe(end);
    expectWhole(row, effectsOf(id));
    expect((await put(id)).status).toBe(end === 'Complete' ? 200 : 502);
    expect((await settled(id))?.state).toBe(end);
  });

  it.each(['first', 'second'])(
    'while the synchronous task %s runs leaves it LOST, and nothing after it',
    async (name) => {
      const id = randomUUID();
      void put(id, { hangs: name }).catch(() => undefined);
      await expect.poll(() => effectsOf(id), { timeout: 20_000 }).toContain(name);
      await server.stop('SIGKILL');
      // No server: the worker sees to it.
      const row = await settled(id);
      expect(row).toMatchObject({ state: 'Failed', tasks: { [name]: 'LOST', now: 'SKIPPED', later: 'SKIPPED' } });
      await startServer();
      expectWhole(row, effectsOf(id));
    },
  );
});

it('a worker that is killed while a task runs: the task is run again, and the instance comes to its end', async () => {
  const id = randomUUID();
  expect((await put(id, { hangs: 'now' })).status).toBe(201);
  await expect.poll(() => effectsOf(id), { timeout: 30_000 }).toContain('now');
  await worker.stop('SIGKILL');
  worker = project.start([bin, 'runworker'], ENVIRONMENT);
  // It hangs again, and is lost for good with the second one.
  await expect.poll(() => effectsOf(id).filter((name) => name === 'now'), { timeout: 30_000 }).toHaveLength(2);
  await worker.stop('SIGKILL');
  worker = project.start([bin, 'runworker'], ENVIRONMENT);
  expect(await settled(id)).toMatchObject({ state: 'Failed', tasks: { now: 'LOST', later: 'SUCCESS' } });
});

it('everything that is killed while an asynchronous task waits for its time: it is run when that comes', async () => {
  const id = randomUUID();
  expect((await put(id, {}, 'patient')).json).toMatchObject({ state: 'Running' });
  await Promise.all([server, worker, publisher].map((one) => one.stop('SIGKILL')));
  expect(effectsOf(id)).toEqual(['first']);
  await Promise.all([startServer(), startWorkers()]);
  expect(await settled(id)).toEqual({ state: 'Complete', tasks: { first: 'SUCCESS', later: 'SUCCESS' } });
  expect(effectsOf(id)).toEqual(['first', 'later']);
});
