import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TaskFailedError, TaskRevokedError, TaskTimeoutError } from '../../src/errors.ts';
import { type Arguments, arg } from '../../src/task/argument.ts';
import { task } from '../../src/task/definition.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import type { Worker } from '../../src/task/worker.ts';
import { least } from '../support/least.ts';
import { processesWith } from '../support/processes.ts';
import { WorkerKit } from '../support/task-kit.ts';

let kit: WorkerKit;
let worker: Worker;
let folder: string;

interface Who {
  readonly me: number;
  readonly runs: number;
  readonly pid: number;
  readonly namespace: string;
  readonly processes: number;
  readonly environment: readonly string[];
  readonly declared: string;
  readonly files: number;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'svc-comm-task-'));
  process.env.TASK_TEST_DECLARED = 'declared';
  process.env.TASK_TEST_CANARY = 'c4n4ry';
  kit = await WorkerKit.create();
  worker = kit.worker({ memoryBytes: 256 * 1024 * 1024, processes: 30 });
  await worker.start();
});
afterAll(async () => {
  await kit.close();
  rmSync(folder, { recursive: true, force: true });
});

const run = async (name: string, args: unknown = {}) => (await kit.tasks.submit(name, args)).result({ timeout: 20 });

describe('a task', () => {
  it('runs and gives what its function returned', async () => {
    const handle = await kit.tasks.submit('addition', { x: '3', y: 6 });
    expect(await handle.result({ timeout: 20 })).toBe(9);
    expect(await handle.record()).toMatchObject({ state: 'SUCCESS', attempt: 1, result: 9 });
    expect(await run('strange', { what: 'nothing' })).toBeNull();
  });

  it('has a fresh process of its own for each run', async () => {
    const all = (await Promise.all([1, 2, 3, 4, 5].map(() => run('whoami')))) as Who[];
    expect(new Set(all.map(({ me }) => me)).size).toBe(5);
    expect(all.map(({ runs }) => runs)).toEqual([1, 1, 1, 1, 1]);
    if (worker.isolation?.level !== 'namespace') return;
    // The kernel gives the number of one that has gone to a new one.
    const ours = readlinkSync('/proc/self/ns/pid');
    expect(all.filter(({ namespace }) => namespace === ours)).toEqual([]);
    // Where another /proc cannot be mounted it sees that of its worker.
    if (!worker.isolation.command.includes('--mount-proc')) return;
    expect(all.map(({ processes }) => processes)).toEqual([1, 1, 1, 1, 1]);
  });

  it('gets the environment variables that it declares, and none of the others of its worker', async () => {
    const { environment, declared } = (await run('whoami')) as Who;
    expect(declared).toBe('declared');
    const plain = /^(PATH|HOME|LANG|LC_\w+|TZ|TMPDIR|NODE_ENV|NODE_EXTRA_CA_CERTS|NODE_CHANNEL_\w+|PWD|SHLVL|_)$/;
    expect(environment.filter((name) => !plain.test(name))).toEqual(['TASK_TEST_DECLARED']);
  });

  it('that throws has failed, with its reason and the end of what it printed, and no stack', async () => {
    const handle = await kit.tasks.submit('fails', {});
    const result = handle.result({ timeout: 20 });
    await expect(result).rejects.toThrow(TaskFailedError);
    await expect(result).rejects.toMatchObject({ errorName: 'TypeError', reason: 'no such thing' });
    const { error, log } = await handle.record();
    expect(error).toEqual({ name: 'TypeError', message: 'no such thing', code: 'E_THING' });
    expect(log).toContain('about to fail');
  });

  it('that may be tried again is, until it succeeds', async () => {
    const handle = await kit.tasks.submit('flaky', {});
    expect(await handle.result({ timeout: 20 })).toBe(3);
    expect(await handle.record()).toMatchObject({ state: 'SUCCESS', attempt: 3 });
  });

  it('whose process ends by itself has failed, and says how', async () => {
    await expect(run('exits')).rejects.toMatchObject({
      reason: 'its process exited with code 3 before it had a result',
    });
  });

  it('whose process is killed from outside has failed, and says by what', async () => {
    const title = `killed-${process.pid}`;
    const handle = await kit.tasks.submit('titled', { title });
    await expect.poll(async () => (await handle.record()).note, { timeout: 20_000 }).toBe(title);
    const [pid = 0, ...others] = processesWith(title);
    expect(others).toEqual([]);
    process.kill(pid, 'SIGKILL');
    await expect(handle.result({ timeout: 20 })).rejects.toMatchObject({
      reason: 'its process was killed by SIGKILL before it had a result',
    });
  });

  it.each(['heap-bomb', 'buffer-bomb', 'child-bomb'])(
    'that takes memory without end fails with a reason: %s',
    async (name) => {
      await expect(run(name)).rejects.toMatchObject({ reason: 'it needed more memory than 256 MiB' });
      expect(await run('addition', { x: 1, y: 1 })).toBe(2);
    },
  );

  it('that starts processes without end fails with a reason, and none of them is left', async () => {
    const mark = 'fork-bomb-mark';
    await expect(run('fork-bomb', { mark })).rejects.toMatchObject({ reason: 'it had more than 30 processes' });
    expect(processesWith(mark)).toEqual([]);
    expect(await run('addition', { x: 1, y: 1 })).toBe(2);
  });

  it('that takes the processor without end is ended at its timeout and the grace time, and the worker lives', async () => {
    const before = performance.now();
    await expect(run('cpu-bomb')).rejects.toThrow(TaskTimeoutError);
    expect(performance.now() - before).toBeLessThan(10_000);
    expect(await run('addition', { x: 1, y: 1 })).toBe(2);
  });

  it('whose message is lost has its turn, also while others keep coming with theirs', async () => {
    const { transactions, db } = kit.kit;
    const lost = await transactions.run(async () => {
      const handle = await kit.tasks.submit('addition', { x: 2, y: 2 });
      const executor = transactions.current()?.executor;
      await executor?.query(`DELETE FROM ${db.table('svc_comm_outbox')} WHERE body LIKE $1`, [`%${handle.id}%`]);
      return handle;
    });
    const over = new AbortController();
    const keepBusy = async () => {
      while (!over.signal.aborted) await (await kit.tasks.submit('nap', { ms: 100 })).result({ timeout: 60 });
    };
    // Twice as many as run at once: there is always one that waits with its message.
    const busy = Array.from({ length: 8 }, keepBusy);
    expect(await lost.result({ timeout: 40 })).toBe(4);
    over.abort();
    await Promise.all(busy);
  }, 120_000);

  it('that is ended keeps what it printed', async () => {
    const handle = await kit.tasks.submit('talker', {});
    await expect(handle.result({ timeout: 20 })).rejects.toThrow(TaskTimeoutError);
    expect((await handle.record()).log).toMatch(/^hello\n/);
  });

  it('whose result is too large or no JSON has failed, and says so', async () => {
    expect(await run('huge', { bytes: 1024 * 1024 - 2 })).toHaveLength(1024 * 1024 - 2);
    await expect(run('huge', { bytes: 1024 * 1024 })).rejects.toMatchObject({
      reason: expect.stringMatching(/^the result has 1048578 bytes, the limit is 1048576; store it elsewhere/),
    });
    await expect(run('strange', { what: 'bigint' })).rejects.toThrow(/result cannot be written as JSON/);
    await expect(run('strange', { what: 'throws undefined' })).rejects.toMatchObject({ reason: 'undefined' });
  });

  it('that sends rubbish to its worker does itself no good', async () => {
    expect(await run('strange', { what: 'ipc' })).toBeNull();
  });

  it.each(['a line', 'half a line', 'no end of a line'])(
    'that writes %s into the channel to its worker has failed, and says so; the worker lives',
    async (what) => {
      const others = kit.tasks.submit('nap', { ms: 1_000 });
      const failed = run('scribbles', { what });
      await expect(failed).rejects.toMatchObject({ reason: expect.stringMatching(/^it wrote .* file descriptor 3/) });
      expect(await (await others).result({ timeout: 20 })).toBe(1_000);
    },
  );

  it('that took the way to print, or to send, from its process has its result all the same', async () => {
    for (const how of ['in place of write', 'ended', 'destroyed', 'in place of send'])
      expect(await run('mute', { how })).toBe(how);
  });

  it('that prints a flood keeps the end of it, and no memory of the worker', async () => {
    const before = process.memoryUsage().rss;
    const handle = await kit.tasks.submit('chatty', { lines: 200_000 });
    await handle.result({ timeout: 20 });
    const { log = '' } = await handle.record();
    expect(log).toContain('line 199999');
    expect(Buffer.byteLength(log)).toBeLessThan(64 * 1024 + 100);
    expect(process.memoryUsage().rss - before).toBeLessThan(50 * 1024 * 1024);
  });

  it('tells its progress to who listens', async () => {
    const handle = await kit.tasks.submit('steps', {});
    const events: unknown[] = [];
    for await (const event of handle.events()) events.push(event);
    expect(events.at(-1)).toEqual({ kind: 'state', state: 'SUCCESS' });
    const fractions = events.flatMap((event) => ((event as { fraction?: number }).fraction ?? []) as number[]);
    expect(fractions).toEqual([0.25, 0.5, 0.75, 1]);
    expect(await handle.record()).toMatchObject({ progress: 1, note: 'step 4' });
  });

  it('tells its progress to who can only look', async () => {
    const deaf = await kit.kit.tasks({ listen: false, pollMs: 20 });
    const events: unknown[] = [];
    const { id } = await kit.tasks.submit('steps', {});
    for await (const event of deaf.events(id)) events.push(event);
    expect(events).toEqual(expect.arrayContaining([expect.objectContaining({ kind: 'progress', note: 'step 2' })]));
    expect(events).toContainEqual({ kind: 'state', state: 'STARTED' });
    expect(events.at(-1)).toEqual({ kind: 'state', state: 'SUCCESS' });
  });

  it('with a delay begins when that is over', async () => {
    const handle = await kit.tasks.submit('addition', { x: 1, y: 1 }, { delay: '700ms' });
    expect(await handle.result({ timeout: 20 })).toBe(2);
    const { startedAt, createdAt } = await handle.record();
    expect(Number(startedAt) - Number(createdAt)).toBeGreaterThanOrEqual(700);
  });
});

describe('a task of which the submitter has another version than the worker', () => {
  const submitBy = async (args: Arguments, given: object) => {
    const other = task({ name: 'addition', args }, () => undefined);
    const tasks = await kit.kit.tasks({ registry: new TaskRegistry() });
    return tasks.startTask(other.definition, given);
  };
  const x = arg.integer();

  it('runs without an argument that the worker does not know', async () => {
    const handle = await submitBy({ x, y: x, z: x }, { x: 1, y: 2, z: 3 });
    expect(await handle.result({ timeout: 20 })).toBe(3);
  });

  it('has failed, and says of which, when an argument is missing that the worker requires', async () => {
    const handle = await submitBy({ x }, { x: 1 });
    await expect(handle.result({ timeout: 20 })).rejects.toMatchObject({
      errorName: 'InvalidTaskArgumentsError',
      reason: expect.stringContaining('y'),
    });
    const { error } = await kit.kit.row(handle.id);
    expect(JSON.parse(String(error))).toMatchObject({ code: 'SVC_COMM_INVALID_TASK_ARGUMENTS' });
  });
});

describe('the end of a run', () => {
  it('comes with its timeout', async () => {
    const handle = await kit.tasks.submit('brief', {});
    await expect(handle.result({ timeout: 20 })).rejects.toThrow(TaskTimeoutError);
    await expect(handle.result()).rejects.toThrow(/it ran longer than 0.3 s/);
    expect((await handle.record()).state).toBe('TIMEOUT');
  });

  it('comes with a cancel, of what heeds the signal at once', async () => {
    const cancelMs = await least(1500, async () => {
      const handle = await kit.tasks.submit('nap', { ms: 60_000 });
      for await (const event of handle.events()) if (event.kind === 'state' && event.state === 'STARTED') break;
      const from = await kit.kit.now();
      expect(await handle.cancel({ timeout: 20 })).toEqual({ state: 'REVOKED', hadEnded: false });
      await expect(handle.result()).rejects.toThrow(TaskRevokedError);
      return kit.kit.tookMs(handle.id, from);
    });
    expect(cancelMs).toBeLessThan(1500);
  });

  it('takes all that it started with it, within the grace time and a second', async () => {
    const cancelMs = await least(1500, async () => {
      const mark = `mark-${Math.random()}`;
      const handle = await kit.tasks.submit('stubborn', { mark });
      for await (const event of handle.events()) if (event.kind === 'progress') break;
      await expect.poll(() => processesWith(mark).length).toBeGreaterThanOrEqual(3);
      const from = await kit.kit.now();
      expect(await handle.cancel({ timeout: 20 })).toEqual({ state: 'REVOKED', hadEnded: false });
      if (worker.isolation?.level === 'namespace') expect(processesWith(mark)).toEqual([]);
      return kit.kit.tookMs(handle.id, from);
    });
    expect(cancelMs).toBeLessThan(1500);
  });
});

describe('a process that is reused', () => {
  it('is replaced after so many runs, and when it keeps half of the memory that a run may have', {
    timeout: 60_000,
  }, async () => {
    const own = await WorkerKit.create();
    try {
      await own.worker({ reuse: 4, concurrency: 1, spare: 0, memoryBytes: 400 * 1024 * 1024 }).start();
      const run = async (name: string, args: object) =>
        (await own.tasks.submit(name, args)).result({ timeout: 20 }) as Promise<unknown>;
      const who = async () => ((await run('whoami', {})) as { me: number }).me;
      const first = await who();
      expect([await who(), await who(), await who()]).toEqual([first, first, first]);
      const second = await who();
      expect(second).not.toBe(first);
      expect(await run('hoards', { mib: 200 })).toBe(second);
      expect(await who()).not.toBe(second);
    } finally {
      await own.close();
    }
  });

  it('tells no progress of a run before as that of the next', { timeout: 60_000 }, async () => {
    const own = await WorkerKit.create();
    try {
      await own.worker({ reuse: 10, concurrency: 1, spare: 1 }).start();
      for (let round = 0; round < 3; round++) {
        const handles = [await own.tasks.submit('hasty', {}), await own.tasks.submit('nap', { ms: 400 })];
        for (const handle of handles) await handle.result({ timeout: 20 });
        expect((await handles[1]?.record())?.progress).toBeUndefined();
      }
    } finally {
      await own.close();
    }
  });
});

describe('a limit', () => {
  it('that queues is kept, and all come to their turn', async () => {
    const file = join(folder, 'narrow');
    const handles = await Promise.all(Array.from({ length: 12 }, () => kit.tasks.submit('narrow', { ms: 100, file })));
    await Promise.all(handles.map((handle) => handle.result({ timeout: 20 })));
    let [now, most] = [0, 0];
    for (const line of readFileSync(file, 'utf8').trim().split('\n')) {
      now += line.startsWith('begin') ? 1 : -1;
      most = Math.max(most, now);
    }
    expect(now).toBe(0);
    expect(most).toBeLessThanOrEqual(2);
  });

  it('that refuses has room again when the run has ended', async () => {
    const until = join(folder, 'refused');
    const handle = await kit.tasks.submit('refusing', { ms: 1, until });
    await expect(kit.tasks.submit('refusing', { ms: 1 })).rejects.toThrow('Over Max Concurrency 1');
    writeFileSync(until, '');
    await handle.result({ timeout: 20 });
    await (await kit.tasks.submit('refusing', { ms: 1 })).result({ timeout: 20 });
  });
});
