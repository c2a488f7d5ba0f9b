import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'amqplib';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bin, CliProject, type Running } from '../support/cli-project.ts';
import { descendants, isAlive } from '../support/processes.ts';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';

const TASKS = `
import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { arg, task, taskRegistry } from 'svc-comm/task';

export const addition = task(
  { name: 'addition', args: { x: arg.integer('A value of X'), y: arg.integer('A value of Y') } },
  ({ x, y }) => ({ sum: x + y }),
);
const nap = task(
  {
    name: 'nap',
    args: {
      ms: arg.integer('how long'),
      file: arg.string('', { default: '' }),
      until: arg.string('a file: its time begins when it is there', { default: '' }),
    },
  },
  async ({ ms, file, until }, { attempt, progress, logger }) => {
    if (file) appendFileSync(file, 'began ' + attempt + '\\n');
    console.log('napping');
    logger.info({ ms }, 'asleep');
    progress(0.5, 'half');
    while (until && !existsSync(until)) await sleep(10);
    await sleep(ms);
    if (file) appendFileSync(file, 'ended ' + attempt + '\\n');
    return 'slept';
  },
);
const fails = task({ name: 'fails' }, () => { throw new RangeError('out of it'); });
const outer = task({ name: 'outer', env: ['SVC_COMM_BROKER_URL', 'SVC_COMM_DATABASE_URL', 'SVC_COMM_SCHEMA', 'SVC_COMM_QUEUE'] },
  async () => (await addition.run({ x: 20, y: 22 })).sum);
taskRegistry.add(nap, fails, outer);
`;

const project = new CliProject({ 'src/tasks.js': TASKS });
const environment = {
  SVC_COMM_WORKER_LEASE: '1500ms',
  SVC_COMM_WORKER_CONCURRENCY: '3',
  SVC_COMM_WORKER_GRACE: '500ms',
};
const startWorker = (): Running => project.start([bin, 'runworker'], environment);

const database = new pg.Pool({ connectionString: testDatabaseUrl(), max: 2 });
let worker: Running;
let publisher: Running;

const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await project.cli(...args, '--json');
  return { code, stderr, value: stdout === '' ? undefined : JSON.parse(stdout) };
};
/** The row, without the second that a command takes to start. */
const row = async (id: string) => {
  const { rows } = await database.query(
    `SELECT state, attempt, result FROM "${project.name}".svc_comm_task WHERE id = $1`,
    [id],
  );
  return rows[0];
};
/** Waits until the task's row says so. */
const shown = async (id: string, state: string) => {
  await expect.poll(async () => (await row(id)).state, { timeout: 20_000 }).toBe(state);
  return row(id);
};
beforeAll(async () => {
  const before = await project.cli('runworker', '--no-wait');
  expect(before.stderr).toContain('run `svc-comm migrate`');
  expect(before.code).toBe(1);
  expect((await project.cli('migrate')).code).toBe(0);
  worker = startWorker();
  publisher = project.startCli('runpublisher');
  await Promise.all([worker.line('taking tasks'), publisher.line('publishing from the outbox')]);
});
afterAll(async () => {
  await Promise.all([worker.stop(), publisher.stop()]);
  const broker = await connect(testBrokerUrl());
  await (await broker.createChannel()).deleteQueue(`${project.queue}.tasks`);
  await broker.close();
  await database.end();
  await project.remove();
});

it('runworker says how surely tasks end, and what it takes', async () => {
  expect(await worker.line('of its own')).toMatch(/"isolation":"(namespace|group)"/);
  expect(await worker.line('taking tasks')).toContain('3 at once: nap, fails, outer, addition');
});

describe('task run', () => {
  it('prints what the task returned', async () => {
    const { code, stdout, stderr } = await project.cli('task', 'run', 'addition', '--args', '{"x":"3","y":6}');
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '{\n  "sum": 9\n}\n', stderr: '' });
    expect((await project.cli('task', 'run', 'nap', '-a', 'ms=1')).stdout).toBe('slept\n');
    expect((await json('task', 'run', 'addition', '-a', 'x=1', '-a', 'y=2')).value).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      state: 'SUCCESS',
      result: { sum: 3 },
    });
  });

  it('runs a task that runs another', async () => {
    expect((await project.cli('task', 'run', 'outer')).stdout).toBe('42\n');
  });

  it('fails with the reason of the task', async () => {
    const { code, stderr } = await project.cli('task', 'run', 'fails');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^svc-comm task run: task \S+ failed: out of it\n {2}SVC_COMM_TASK_FAILED/);
    expect((await json('task', 'run', 'fails')).value.error).toMatchObject({
      code: 'SVC_COMM_TASK_FAILED',
      errorName: 'RangeError',
      reason: 'out of it',
    });
  });

  it.each([
    [['nothing'], 'no task "nothing" is registered'],
    [['addition'], 'x: expected INTEGER, got nothing; y: expected INTEGER, got nothing'],
    [['addition', '--args', '[1]'], 'It must be a JSON object'],
    [['addition', '--args', '{'], 'It must be a JSON object'],
    [['addition', '--args', '{"x":9007199254740993,"y":1}'], 'The number 9007199254740993 has more digits'],
    [['addition', '-a', 'x=9007199254740993', '-a', 'y=1'], 'x: expected INTEGER, got "9007199254740993"'],
    [['nap', '-a', 'ms=1', '--id', 'nonsense'], 'id: expected a UUID'],
    [['nap', '-a', 'ms=1', '--key', ''], 'It must be a text of 1 to 255 characters'],
  ])('is wrong use: %j', async (args, text) => {
    const { code, stderr } = await project.cli('task', 'run', ...args);
    expect(stderr).toContain(text);
    expect(code).toBe(2);
  });

  it('with an idempotency key starts one task', async () => {
    const start = () => json('task', 'run', 'nap', '-a', 'ms=1', '--key', 'once', '--detach');
    const [first, second] = [await start(), await start()];
    expect(first.value.id).toBe(second.value.id);
  });

  it('gives up waiting at its timeout, and the task goes on', async () => {
    const { code, value } = await json('task', 'run', 'nap', '-a', 'ms=1500', '--timeout', '200ms');
    expect(code).toBe(1);
    expect(value.error).toMatchObject({ code: 'SVC_COMM_TASK_WAIT_TIMEOUT' });
    expect(await shown(value.error.taskId, 'SUCCESS')).toMatchObject({ result: '"slept"' });
  });

  it('asks after no worker for a task that is to begin in months', async () => {
    const { stderr, value } = await json('task', 'run', 'nap', '-a', 'ms=1', '--delay', '60d', '--timeout', '1s');
    expect(value.error).toMatchObject({ code: 'SVC_COMM_TASK_WAIT_TIMEOUT' });
    expect(stderr).toBe('');
    expect((await json('task', 'cancel', value.error.taskId)).code).toBe(0);
  });
});

describe('task ls, show and cancel', () => {
  it('show what there is', async () => {
    const { id } = (await json('task', 'run', 'nap', '-a', 'ms=1')).value;
    const { stdout } = await project.cli('task', 'show', id);
    expect(stdout).toMatch(new RegExp(`^task +nap ${id}\nstate +SUCCESS\nattempt +1\n`));
    expect(stdout).toMatch(/^progress +50 % half$/m);
    expect(stdout).toMatch(/^output +\nnapping\n\{"level":30,.*"msg":"asleep"\}$/m);
    const list = (await json('task', 'ls', 'nap', '--limit', '1')).value;
    expect(list.tasks).toMatchObject([{ id, name: 'nap', state: 'SUCCESS', args: { ms: 1 } }]);
    expect((await project.cli('task', 'ls', 'nobody')).stdout).toBe('no such task\n');
    expect((await project.cli('task', 'ls', '--state', 'failure')).stdout).toMatch(
      /^id +task +state.*\n\S+ +fails +FAILURE/,
    );
  });

  it('end a task, once', async () => {
    const { id } = (await json('task', 'run', 'nap', '-a', 'ms=60000', '--detach')).value;
    await shown(id, 'STARTED');
    expect((await json('task', 'cancel', id)).value).toEqual({ id, state: 'REVOKED', hadEnded: false });
    const again = await project.cli('task', 'cancel', id);
    expect(again).toMatchObject({ code: 1, stdout: 'it had ended before: REVOKED\n' });
    expect((await json('task', 'cancel', '--all', 'nap')).value).toEqual({ cancelled: 0 });
    expect((await project.cli('task', 'cancel')).code).toBe(2);
    expect((await json('task', 'show', 'nonsense')).value.error.code).toBe('SVC_COMM_TASK_NOT_FOUND');
  });
});

describe('a worker that is killed', () => {
  it('takes its processes with it, and its tasks are handed over, once', async () => {
    const file = `${project.root}/handed-over`;
    const until = `${file}.end`;
    const args = ['-a', 'ms=1', '-a', `file="${file}"`, '-a', `until="${until}"`];
    const { id } = (await json('task', 'run', 'nap', ...args, '--detach')).value;
    await shown(id, 'STARTED');
    await expect.poll(() => existsSync(file)).toBe(true);
    await expect.poll(() => descendants(worker.pid).length).toBeGreaterThan(1);
    const processes = descendants(worker.pid);
    await worker.stop('SIGKILL');
    await expect.poll(() => processes.filter(isAlive), { timeout: 5_000 }).toEqual([]);
    worker = startWorker();
    await worker.line('taking tasks');
    writeFileSync(until, '');
    expect(await shown(id, 'SUCCESS')).toMatchObject({ attempt: 2, result: '"slept"' });
    expect(readFileSync(file, 'utf8')).toBe('began 1\nbegan 2\nended 2\n');
  });

  it('as often as it may be handed over loses the task', async () => {
    const { id } = (await json('task', 'run', 'nap', '-a', 'ms=60000', '--detach')).value;
    for (const attempt of [1, 2]) {
      await expect.poll(() => row(id), { timeout: 20_000 }).toMatchObject({ state: 'STARTED', attempt });
      await worker.stop('SIGKILL');
      worker = startWorker();
      await worker.line('taking tasks');
    }
    await shown(id, 'LOST');
  });
});

it('a worker that drains lets a task end', async () => {
  const until = `${project.root}/drained`;
  const { id } = (await json('task', 'run', 'nap', '-a', 'ms=1000', '-a', `until="${until}"`, '--detach')).value;
  await shown(id, 'STARTED');
  const exit = worker.stop('SIGTERM');
  writeFileSync(until, '');
  expect(await exit).toBe(0);
  expect(await shown(id, 'SUCCESS')).toMatchObject({ attempt: 1 });
  worker = startWorker();
  await worker.line('taking tasks');
});

it('a task whose message was never published is found', async () => {
  await publisher.stop();
  expect((await project.cli('task', 'run', 'addition', '-a', 'x=1', '-a', 'y=1', '--timeout', '20s')).code).toBe(0);
  publisher = project.startCli('runpublisher');
  await publisher.line('publishing from the outbox');
});
