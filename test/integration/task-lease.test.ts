import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { connectDatabase } from '../../src/database/connection.ts';
import { OverMaxConcurrencyError, StartAbortedError, TaskLostError } from '../../src/errors.ts';
import { measureIsolation } from '../../src/task/isolation.ts';
import { TaskRun } from '../../src/task/run.ts';
import { type FinishedRun, finishTasks, saveProgress } from '../../src/task/sql/finish.ts';
import { TaskProcess } from '../../src/task/task-process.ts';
import { DEFAULT_WORKER_OPTIONS } from '../../src/task/worker-options.ts';
import { LogLines } from '../support/broker-kit.ts';
import { least } from '../support/least.ts';
import { isAlive, processesWith } from '../support/processes.ts';
import { stressService } from '../support/start-stop-stress.ts';
import { WorkerKit } from '../support/task-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: WorkerKit;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'svc-comm-lease-'));
  kit = await WorkerKit.create();
});
afterAll(async () => {
  await kit.close();
  rmSync(folder, { recursive: true, force: true });
});

function runOf(name: string, args: object): TaskRun {
  const { definition } = kit.kit.registry.get(name);
  const task = { id: randomUUID(), name, args: JSON.stringify(args), attempt: 1, failures: 0, isUnsent: false };
  const context = { correlationId: undefined, traceparent: undefined };
  return new TaskRun({
    task: { ...task, ...context },
    definition,
    options: DEFAULT_WORKER_OPTIONS,
    onProgress: () => undefined,
  });
}

const lines = (file: string) => readFileSync(file, 'utf8').trim().split('\n');
describe('a worker whose task files never finish loading', () => {
  it('stops all the same, and leaves no process', async () => {
    const mark = `never-loads-${process.pid}`;
    const stuck = kit.worker({}, { nodeArguments: ['-e', `setInterval(() => '${mark}', 1000)`] });
    const started = expect(stuck.start()).rejects.toThrow(StartAbortedError);
    await expect.poll(() => processesWith(mark)).not.toEqual([]);
    await stuck.stop();
    await started;
    expect(processesWith(mark)).toEqual([]);
  });

  it('ends a task that waits for them when it is cancelled', async () => {
    const flag = join(folder, 'hang');
    const code = `import fs from 'node:fs'; if (fs.existsSync('${flag}')) await new Promise((end) => setTimeout(end, 1e8));`;
    const hangs = ['--import', `data:text/javascript,${encodeURIComponent(code)}`];
    const worker = kit.worker({ concurrency: 1, spare: 0 }, { nodeArguments: [...hangs, ...kit.nodeArguments] });
    await worker.start();
    writeFileSync(flag, '');
    expect(await (await kit.tasks.submit('addition', { x: 1, y: 2 })).result({ timeout: 20 })).toBe(3);
    const handle = await kit.tasks.submit('addition', { x: 1, y: 2 });
    await expect.poll(() => handle.state(), { timeout: 10_000 }).toBe('STARTED');
    expect(await handle.cancel({ timeout: 10 })).toEqual({ state: 'REVOKED', hadEnded: false });
    expect(processesWith(encodeURIComponent(flag))).toEqual([]);
    await worker.stop();
  });
});

describe('a worker that cannot reach the database', () => {
  it('ends its task before another begins it, and writes nothing more of it', async () => {
    const proxy = await TcpProxy.to(kit.kit.db.url);
    const cut = kit.worker(
      { concurrency: 1, leaseMs: 1500, pollMs: 100 },
      { connect: (name) => connectDatabase({ url: proxy.url(kit.kit.db.url), applicationName: name }) },
    );
    await cut.start();
    const file = join(folder, 'cut');
    const handle = await kit.tasks.submit('nap', { ms: 3000, file });
    await expect.poll(() => handle.state(), { timeout: 10_000 }).toBe('STARTED');
    await expect.poll(() => lines(file).length).toBe(1);
    proxy.refuse();
    proxy.cut();
    const other = kit.worker({ concurrency: 1, leaseMs: 1500, pollMs: 100 });
    await other.start();
    expect(await handle.result({ timeout: 30 })).toBe(3000);
    expect(lines(file)).toEqual([`begin ${handle.id} 1`, `begin ${handle.id} 2`, `end ${handle.id} 2`]);
    expect(await handle.record()).toMatchObject({ attempt: 2, state: 'SUCCESS' });
    expect(cut.stats).toMatchObject({ running: 0, finished: 0, lost: 1 });
    await Promise.all([cut.stop(), other.stop()]);
    await proxy.close();
  });
});

const taskProcess = async (onOutput: (chunk: Buffer) => void = () => undefined) =>
  new TaskProcess({
    nodeArguments: kit.nodeArguments,
    load: { root: folder, files: [] },
    env: [],
    isolation: await measureIsolation(),
    guard: undefined,
    limits: { memoryBytes: 1024 ** 3, processes: 256 },
    logBytes: 1024,
    onOutput,
  });

describe('a process that runs one task after the other', () => {
  it.each(['lost', 'cancel', 'timeout'] as const)(
    'is left alone when a task that it has run is ended behind its end (%s)',
    { timeout: 30_000 },
    async (reason) => {
      const process = await taskProcess();
      onTestFinished(() => process.leave());
      await process.ready;
      const first = runOf('addition', { x: 1, y: 2 });
      expect(await first.run(process, undefined)).toMatchObject({ state: 'SUCCESS', result: '3' });
      // Its end is being written, and the next one has begun meanwhile.
      const second = runOf('nap', { ms: 500 });
      const running = second.run(process, undefined);
      first.end(reason);
      first.end('lost');
      expect(await running).toMatchObject({ state: 'SUCCESS', result: '500' });
      expect(process.isOver).toBe(false);
    },
  );
});

/** With their first process the others end, before they are come to. */
const kill = (pids: readonly number[]) => {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has gone.
    }
  }
};
const forked = () => processesWith(kit.nodeArguments[0] as string);
const preload = (code: string) => [
  '--import',
  `data:text/javascript,${encodeURIComponent(code)}`,
  ...kit.nodeArguments,
];

describe('a process that waits for a task', () => {
  it('and dies is told of and replaced, and the next task is none the worse', { timeout: 60_000 }, async () => {
    const log = new LogLines();
    const worker = kit.worker({ concurrency: 1, spare: 1 }, { logger: log });
    await worker.start();
    kill(forked());
    await log.seen('died while it waited for one');
    const told = log.lines.find(({ text }) => text.includes('died while it waited for one'));
    expect(told).toMatchObject({ level: 'warn', fields: { ending: 'was killed by SIGKILL' } });
    await expect.poll(forked).not.toEqual([]);
    // Whether it is noticed before the task comes or not.
    kill(forked());
    const handle = await kit.tasks.submit('addition', { x: 1, y: 2 });
    expect(await handle.result({ timeout: 20 })).toBe(3);
    expect(await kit.kit.row(handle.id)).toMatchObject({ attempt: 1, failures: 0 });
    await worker.stop();
    // There are two kinds of them, by the variables that they may read.
    expect(log.count('died while it waited')).toBeLessThanOrEqual(4);
  });

  it('and dies with the task in hand that it has not begun leaves it to another', { timeout: 60_000 }, async () => {
    const log = new LogLines();
    const worker = kit.worker({ concurrency: 1, spare: 1 }, { logger: log });
    await worker.start();
    const stopped = forked();
    for (const pid of stopped) process.kill(pid, 'SIGSTOP');
    const handle = await kit.tasks.submit('addition', { x: 1, y: 2 });
    await expect.poll(() => handle.state()).toBe('STARTED');
    kill(stopped);
    expect(await handle.result({ timeout: 20 })).toBe(3);
    expect(await kit.kit.row(handle.id)).toMatchObject({ attempt: 1, failures: 0 });
    await log.seen('a process died before it had the task');
    await worker.stop();
  });

  it('and dies each time is replaced ever later', { timeout: 60_000 }, async () => {
    const file = join(folder, 'forks');
    // Those that may read a variable are kept, and replaced, beside the others.
    vi.stubEnv('TASK_TEST_DECLARED', 'declared');
    onTestFinished(() => void vi.unstubAllEnvs());
    const dies = `import { appendFileSync } from 'node:fs';
      if (!process.env.TASK_TEST_DECLARED) appendFileSync('${file}', Date.now() + '\\n');
      const send = process.send;
      process.send = (message, then) => send.call(process, message, () => {
        then();
        if (message.kind === 'ready') setTimeout(() => process.exit(1), 20);
      });`;
    const worker = kit.worker({ concurrency: 1, spare: 1 }, { nodeArguments: preload(dies) });
    await worker.start();
    await expect.poll(() => lines(file).length, { interval: 100 }).toBeGreaterThanOrEqual(5);
    await worker.stop();
    const times = lines(file).map(Number);
    const gaps = times.slice(1, 5).map((time, n) => time - (times[n] ?? 0));
    for (const [n, gap] of gaps.entries()) expect(gap).toBeGreaterThanOrEqual(100 * 2 ** n);
  });

  it('and dies each time before it has the task fails it after five, and says why', { timeout: 60_000 }, async () => {
    const dies = `const send = process.send;
      process.send = (message) => send.call(process, message, () => process.exit(7));`;
    const worker = kit.worker({ concurrency: 1, spare: 0 }, { nodeArguments: preload(dies) });
    await worker.start();
    await expect((await kit.tasks.submit('addition', { x: 1, y: 2 })).result({ timeout: 30 })).rejects.toMatchObject({
      reason: '5 processes, one after the other, ended before they had it; the last one exited with code 7',
    });
    await worker.stop();
  });

  it('leaves nothing in the output of its worker when it is ended', async () => {
    const said: string[] = [];
    const process = await taskProcess((chunk) => said.push(chunk.toString()));
    await process.ready;
    await process.kill();
    expect(said).toEqual([]);
  });
});

describe('the row', () => {
  const started = async (attempt: number, owner: string) => {
    const { id } = await kit.tasks.submit('nap', { ms: 1 }, { delay: '1h' });
    const { pg, table } = kit.kit.db;
    await pg.query(
      `UPDATE ${table('svc_comm_task')} SET state = 'STARTED', attempt = $2, owner = $3,
         lease_until = clock_timestamp() + interval '1 h' WHERE id = $1`,
      [id, attempt, owner],
    );
    return id;
  };
  const ends = async () => {
    const { url, schema } = kit.kit.db;
    const db = await connectDatabase({ url });
    onTestFinished(() => db.close());
    const end = { result: null, error: null, log: null, retryMs: null };
    return (owner: string, run: Pick<FinishedRun, 'id' | 'attempt' | 'state'>) =>
      finishTasks(db, schema, owner, [{ ...end, ...run }]);
  };

  it('takes no end of an attempt that is over, and none of a task that has ended', async () => {
    const owner = randomUUID();
    const id = await started(2, owner);
    const finish = await ends();
    for (const attempt of [0, 1, 3]) {
      expect(await finish(owner, { id, attempt, state: 'FAILURE' })).toEqual(new Set());
    }
    expect((await kit.tasks.record(id)).state).toBe('STARTED');
    expect(await finish(owner, { id, attempt: 2, state: 'SUCCESS' })).toEqual(new Set([id]));
    for (const attempt of [1, 2, 3]) {
      expect(await finish(owner, { id, attempt, state: 'FAILURE' })).toEqual(new Set());
    }
    expect((await kit.tasks.record(id)).state).toBe('SUCCESS');
  });

  it('takes no end of another worker, whose claim of the same attempt a fail-over has lost', async () => {
    const [first, second] = [randomUUID(), randomUUID()];
    const id = await started(1, second);
    const finish = await ends();
    expect(await finish(first, { id, attempt: 1, state: 'FAILURE' })).toEqual(new Set());
    expect(await finish(second, { id, attempt: 1, state: 'SUCCESS' })).toEqual(new Set([id]));
    expect((await kit.tasks.record(id)).state).toBe('SUCCESS');
  });

  it('takes no progress of another worker, whose claim of the same attempt a fail-over has lost', async () => {
    const [first, second] = [randomUUID(), randomUUID()];
    const id = await started(1, second);
    const { url, schema } = kit.kit.db;
    const db = await connectDatabase({ url });
    onTestFinished(() => db.close());
    await saveProgress(db, schema, first, { id, attempt: 1, fraction: 0.9, note: 'lost' });
    const before = await kit.tasks.record(id);
    expect([before.progress, before.note]).toEqual([undefined, undefined]);
    await saveProgress(db, schema, second, { id, attempt: 1, fraction: 0.1, note: 'ours' });
    expect(await kit.tasks.record(id)).toMatchObject({ progress: 0.1, note: 'ours' });
  });

  it('of a task whose workers were lost as often as may be says so', async () => {
    const handle = await kit.tasks.submit('nap', { ms: 1 }, { delay: '1h' });
    const { db } = kit.kit;
    await db.pg.query(
      `UPDATE ${db.table('svc_comm_task')} SET state = 'STARTED', attempt = 2, losses = 1, owner = gen_random_uuid(),
         lease_until = clock_timestamp() - interval '1 s' WHERE id = $1`,
      [handle.id],
    );
    const waiting = expect(handle.result({ timeout: 20 })).rejects.toThrow(TaskLostError);
    const worker = kit.worker({ leaseMs: 1000 });
    await worker.start();
    await waiting;
    await worker.stop();
  });
});

describe('a place', () => {
  it('of a task that neither waits nor runs comes free by itself, and no other', async () => {
    const { db } = kit.kit;
    const log = new LogLines();
    // Keeps its place while it waits.
    const waiting = await kit.tasks.submit('refusing', { ms: 1 }, { delay: '1h' });
    await expect(kit.tasks.submit('refusing', { ms: 1 })).rejects.toThrow(OverMaxConcurrencyError);
    const nobody = randomUUID();
    await db.pg.query(
      `INSERT INTO ${db.table('svc_comm_task_slot')} (name, n, task_id) VALUES ('narrow', 0, $1)
      ON CONFLICT (name, n) DO UPDATE SET task_id = $1`,
      [nobody],
    );
    const worker = kit.worker({ concurrency: 1, leaseMs: 1000 }, { logger: log });
    await worker.start();
    await log.seen('a place was held by a task that neither waits nor runs');
    const { rows } = await db.pg.query(
      `SELECT name, task_id FROM ${db.table('svc_comm_task_slot')} WHERE name IN ('narrow', 'refusing') ORDER BY name, n`,
    );
    expect(rows).toEqual([
      { name: 'narrow', task_id: null },
      { name: 'narrow', task_id: null },
      { name: 'refusing', task_id: waiting.id },
    ]);
    expect(log.lines.find(({ text }) => text.startsWith('a place was held'))?.fields).toEqual({
      taskId: nobody,
      task: 'narrow',
    });
    await waiting.cancel();
    await worker.stop();
  });
});

describe('a worker that stops', () => {
  it('gives back what does not end in time: another begins it anew, and no hand-over is counted', async () => {
    const file = join(folder, 'stop');
    const first = kit.worker({ concurrency: 1, drainMs: 700, graceMs: 300 });
    await first.start();
    const handle = await kit.tasks.submit('nap', { ms: 2000, file });
    await expect.poll(() => handle.state(), { timeout: 10_000 }).toBe('STARTED');
    await expect.poll(() => lines(file).length).toBe(1);
    const { dueAt } = await handle.record();
    await first.stop();
    // Since when it waits is told by that.
    expect(await handle.record()).toMatchObject({ state: 'PENDING', dueAt });
    const second = kit.worker({ concurrency: 1 });
    await second.start();
    expect(await handle.result({ timeout: 20 })).toBe(2000);
    expect(await kit.kit.row(handle.id)).toMatchObject({ attempt: 2, losses: 0, failures: 0 });
    await second.stop();
  });

  it.each(['before', 'after'] as const)(
    'gives back a run that gets SIGTERM of somebody else %s it does, as from systemd',
    { timeout: 30_000 },
    async (order) => {
      // The one process that the start makes ready, and no spare: what is found by its command line is the run's.
      const worker = kit.worker({ concurrency: 1, spare: 0, drainMs: 3000, graceMs: 500 });
      await worker.start();
      const handle = await kit.tasks.submit('watchful', {});
      const told = async () => (await handle.record()).note;
      await expect.poll(told).toBe('ready');
      const terminate = async () => {
        for (const pid of forked()) process.kill(pid, 'SIGTERM');
        await expect.poll(told, { interval: 10 }).toBe('SIGTERM');
      };
      if (order === 'before') await terminate();
      const stopped = worker.stop();
      if (order === 'after') await terminate();
      await stopped;
      expect(await kit.kit.row(handle.id)).toMatchObject({ state: 'PENDING', attempt: 1, losses: 0, failures: 0 });
      await handle.cancel();
    },
  );

  it('and starts may cross with it', async () => {
    const worker = kit.worker({ concurrency: 1, spare: 0 });
    await stressService(() => worker, 12);
  });
});

describe('without PID namespaces', () => {
  it('a cancel ends the whole process group of a task', async () => {
    const mark = `group-mark-${process.pid}`;
    const worker = kit.worker({ concurrency: 1 }, { isolation: { level: 'group', command: [], why: 'a test' } });
    await worker.start();
    try {
      const cancelMs = await least(1500, async () => {
        const own = `${mark}-${Math.random()}`;
        const handle = await kit.tasks.submit('stubborn', { mark: own });
        for await (const event of handle.events()) if (event.kind === 'progress') break;
        await expect.poll(() => processesWith(own).length).toBe(3);
        const from = await kit.kit.now();
        expect(await handle.cancel({ timeout: 20 })).toEqual({ state: 'REVOKED', hadEnded: false });
        // Two had moved to sessions of their own, where only a namespace would have held them.
        expect(processesWith(own)).toHaveLength(2);
        return kit.kit.tookMs(handle.id, from);
      });
      expect(cancelMs).toBeLessThan(1500);
    } finally {
      for (const pid of processesWith(mark)) process.kill(pid, 'SIGKILL');
    }
    await worker.stop();
  });

  it('a guard ends the groups on its list when their worker is killed, and no other', async () => {
    const parent = fork(fileURLToPath(new URL('../support/guard-parent.ts', import.meta.url)), {
      execArgv: ['--import', 'tsx'],
    });
    const [{ kept, dropped }] = (await once(parent, 'message')) as [{ kept: number; dropped: number }];
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await expect.poll(() => isAlive(kept), { timeout: 5000 }).toBe(false);
    expect(isAlive(dropped)).toBe(true);
    process.kill(-dropped, 'SIGKILL');
  });
});
