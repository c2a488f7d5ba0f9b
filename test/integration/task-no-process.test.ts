import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { ProcessPool } from '../../src/task/process-pool.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { DEFAULT_WORKER_OPTIONS } from '../../src/task/worker-options.ts';
import { LogLines } from '../support/broker-kit.ts';
import { WorkerKit } from '../support/task-kit.ts';
import { addition } from '../support/task-project/tasks.ts';

let kit: WorkerKit;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'svc-comm-no-process-'));
  kit = await WorkerKit.create();
});
afterAll(async () => {
  await kit.close();
  rmSync(folder, { recursive: true, force: true });
});

const preload = (code: string) => [
  '--import',
  `data:text/javascript,${encodeURIComponent(code)}`,
  ...kit.nodeArguments,
];

/** Processes of a worker that end at once while the file `gone` is there, each with a line in `forks` unless it has a variable. */
function breakable(name: string) {
  vi.stubEnv('TASK_TEST_DECLARED', 'declared');
  onTestFinished(() => void vi.unstubAllEnvs());
  const [gone, forks] = [join(folder, `${name}-gone`), join(folder, `${name}-forks`)];
  const code = `import { appendFileSync, existsSync } from 'node:fs';
    if (existsSync('${gone}')) {
      if (!process.env.TASK_TEST_DECLARED) appendFileSync('${forks}', Date.now() + '\\n');
      throw new Error('its packages are gone');
    }`;
  return {
    nodeArguments: preload(code),
    break: () => writeFileSync(gone, ''),
    mend: () => rmSync(gone),
    times: () => (existsSync(forks) ? readFileSync(forks, 'utf8').trim().split('\n').map(Number) : []),
  };
}

const submit = (x: number) => kit.tasks.submit('addition', { x, y: 1 });

describe('a worker that can make no process ready any more', () => {
  it('fails no task, takes no more and is not ready, until it can again', { timeout: 90_000 }, async () => {
    const log = new LogLines();
    const files = breakable('all');
    const worker = kit.worker({ concurrency: 2, spare: 1 }, { logger: log, nodeArguments: files.nodeArguments });
    await worker.start();
    expect(worker.isReady).toBe(true);
    files.break();
    const handles = await Promise.all([1, 2, 3, 4, 5].map(submit));
    await expect.poll(() => worker.isReady).toBe(false);
    await log.seen('is given back');
    expect(log.lines.find(({ text }) => text.includes('could not be made ready'))).toMatchObject({
      level: 'error',
      text: expect.stringContaining('restart the worker'),
    });
    await expect.poll(() => files.times().length, { interval: 100 }).toBeGreaterThanOrEqual(8);
    const rows = await Promise.all(handles.map(({ id }) => kit.kit.row(id)));
    // The spare that was ready before may have had one.
    expect(rows.filter(({ state }) => state === 'PENDING').length).toBeGreaterThanOrEqual(4);
    expect(rows.filter(({ state }) => state !== 'PENDING' && state !== 'SUCCESS')).toEqual([]);
    files.mend();
    for (const [n, handle] of handles.entries()) expect(await handle.result({ timeout: 60 })).toBe(n + 2);
    for (const { id } of handles) expect(await kit.kit.row(id)).toMatchObject({ failures: 0, losses: 0 });
    // Processes with other variables show it by themselves.
    await expect.poll(() => worker.isReady).toBe(true);
    await worker.stop();
    // At first those of both tasks that had begun, and the spares behind them; then one alone, ever later.
    const [earlier = 0, last = 0] = files.times().slice(-2);
    expect(last - earlier).toBeGreaterThanOrEqual(400);
  });

  it('leaves them to a worker that can', { timeout: 60_000 }, async () => {
    const files = breakable('other');
    const broken = kit.worker({ concurrency: 4, spare: 1 }, { nodeArguments: files.nodeArguments });
    await broken.start();
    files.break();
    const handles = await Promise.all([1, 2, 3].map(submit));
    await expect.poll(() => broken.isReady).toBe(false);
    const healthy = kit.worker({ concurrency: 4, spare: 1 });
    await healthy.start();
    handles.push(...(await Promise.all([4, 5, 6, 7, 8].map(submit))));
    for (const [n, handle] of handles.entries()) expect(await handle.result({ timeout: 30 })).toBe(n + 2);
    // It has begun none of those.
    for (const { id } of handles.slice(3)) expect(await kit.kit.row(id)).toMatchObject({ attempt: 1 });
    expect(healthy.isReady).toBe(true);
    await broken.stop();
    await healthy.stop();
  });

  it.each([
    ['is gone', () => undefined],
    ['is a file', (root: string) => writeFileSync(root, '')],
  ])('since its folder %s goes on when it is back', { timeout: 60_000 }, async (_what, put) => {
    const root = join(folder, 'root');
    mkdirSync(root);
    const worker = kit.worker({ concurrency: 2, spare: 1 }, { load: { root, files: [] } });
    await worker.start();
    rmSync(root, { recursive: true });
    put(root);
    const handles = await Promise.all([1, 2, 3].map(submit));
    await expect.poll(() => worker.isReady).toBe(false);
    rmSync(root, { force: true });
    mkdirSync(root);
    for (const [n, handle] of handles.entries()) expect(await handle.result({ timeout: 50 })).toBe(n + 2);
    await expect.poll(() => worker.isReady).toBe(true);
    await worker.stop();
    rmSync(root, { recursive: true });
  });
});

describe('a worker of whose processes some cannot be made ready', () => {
  it('tries the next one as soon after each of them', { timeout: 150_000 }, async () => {
    const counted = join(folder, 'counted');
    const nodeArguments = preload(`import { appendFileSync, statSync } from 'node:fs';
      appendFileSync('${counted}', '.');
      if (statSync('${counted}').size % 3 === 0) throw new Error('not this time');`);
    const registry = new TaskRegistry();
    registry.add(addition);
    const worker = kit.worker({ concurrency: 1, spare: 1 }, { registry, nodeArguments });
    await worker.start();
    const handles = await Promise.all(Array.from({ length: 32 }, (_, n) => submit(n)));
    for (const [n, handle] of handles.entries()) expect(await handle.result({ timeout: 60 })).toBe(n + 1);
    const rows = await Promise.all(handles.map(({ id }) => kit.kit.row(id)));
    expect(rows.filter(({ failures, losses }) => failures !== 0 || losses !== 0)).toEqual([]);
    const begun = rows.map(({ started_at }) => (started_at as Date).getTime()).toSorted((a, b) => a - b);
    // A back-off that went on would make it 12 s and more before the last of them.
    expect(Math.max(...begun.slice(1).map((time, n) => time - (begun[n] ?? 0)))).toBeLessThan(5_000);
    await worker.stop();
  });
});

describe('a worker on a machine that has room for fewer processes than it would run tasks', () => {
  it('makes about one in vain for each that ends, and gives no tasks back by the dozen', {
    timeout: 150_000,
  }, async () => {
    // Three at once, while they live: what the machine would say by EAGAIN.
    let [living, refused] = [0, 0];
    const machine = createServer((socket) => {
      const isRefused = living === 3;
      if (isRefused) refused += 1;
      else living += 1;
      socket.on('error', () => undefined).resume();
      socket.on('close', () => {
        if (!isRefused) living -= 1;
      });
      socket.write(isRefused ? 'no' : 'yes');
    });
    await once(machine.listen(0, '127.0.0.1'), 'listening');
    onTestFinished(() => void machine.close());
    const { port } = machine.address() as AddressInfo;
    const nodeArguments = preload(`import { once } from 'node:events';
      import { connect } from 'node:net';
      const socket = connect(${port}, '127.0.0.1');
      const [answer] = await once(socket, 'data');
      socket.unref().on('error', () => undefined);
      if (String(answer) === 'no') throw new Error('no room');`);
    const worker = kit.worker({ concurrency: 8, spare: 2 }, { nodeArguments });
    await worker.start();
    const handles = await Promise.all(Array.from({ length: 24 }, () => kit.tasks.submit('nap', { ms: 300 })));
    for (const handle of handles) await handle.result({ timeout: 100 });
    const rows = await Promise.all(handles.map(({ id }) => kit.kit.row(id)));
    expect(rows.filter(({ failures, losses }) => failures !== 0 || losses !== 0)).toEqual([]);
    const attempts = rows.reduce((sum, { attempt }) => sum + Number(attempt), 0);
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThan(24 * 3);
    expect(attempts).toBeLessThan(24 * 2);
    await worker.stop();
  });
});

describe('processes that are tried since those of another list could not be made ready', () => {
  it('do not add up', { timeout: 60_000 }, async () => {
    vi.stubEnv('TASK_TEST_DECLARED', 'declared');
    onTestFinished(() => void vi.unstubAllEnvs());
    const gone = join(folder, 'adds-up');
    const code = `import { existsSync } from 'node:fs';
      if (!process.env.TASK_TEST_DECLARED && existsSync('${gone}')) throw new Error('its packages are gone');`;
    const pool = new ProcessPool({
      ...DEFAULT_WORKER_OPTIONS,
      spare: 1,
      nodeArguments: preload(code),
      load: { root: process.cwd(), files: [] },
      isolation: { level: 'group', command: [] },
      onOutput: () => undefined,
      logger: silentLogger,
      environments: [[], ['TASK_TEST_DECLARED']],
    });
    onTestFinished(() => pool.stop());
    await pool.start();
    for (let n = 0; n < 4; n++) {
      writeFileSync(gone, '');
      const one = await pool.take([], AbortSignal.timeout(20_000));
      await expect.poll(() => pool.isWhole).toBe(false);
      rmSync(gone);
      await one.kill();
      await expect.poll(() => pool.isWhole).toBe(true);
    }
    await expect.poll(() => pool.size).toBe(2);
  });
});

describe('a worker that has processes ready, and can make no more', () => {
  it('runs tasks in those that are ready', { timeout: 60_000 }, async () => {
    const files = breakable('ready');
    const options = { concurrency: 4, spare: 2, reuse: 100 };
    const worker = kit.worker(options, { nodeArguments: files.nodeArguments });
    await worker.start();
    const sleeping = (ms: number) => kit.tasks.submit('nap', { ms });
    // At once: each has a process of its own, which waits for the next one then.
    const naps = await Promise.all([1, 2, 3, 4].map(() => sleeping(2_000)));
    for (const handle of naps) await handle.result({ timeout: 30 });
    files.break();
    const long = await Promise.all([1, 2, 3].map(() => sleeping(50_000)));
    await expect.poll(() => worker.isReady).toBe(false);
    expect(await (await submit(4)).result({ timeout: 10 })).toBe(5);
    expect(worker.isReady).toBe(false);
    for (const handle of long) await handle.cancel();
    files.mend();
    await worker.stop();
  });
});

describe('a worker that can make no process ready that has a variable', () => {
  it('goes on with tasks that do not name it, and is not ready', { timeout: 60_000 }, async () => {
    vi.stubEnv('TASK_TEST_DECLARED', 'declared');
    onTestFinished(() => void vi.unstubAllEnvs());
    const code = `if (process.env.TASK_TEST_DECLARED) throw new Error('it cannot be used')`;
    const worker = kit.worker({ concurrency: 2, spare: 1, pollMs: 100 }, { nodeArguments: preload(code) });
    await worker.start();
    await expect.poll(() => worker.isReady).toBe(false);
    const waiting = await kit.tasks.submit('whoami', {});
    for (const x of [1, 2, 3]) expect(await (await submit(x)).result({ timeout: 20 })).toBe(x + 1);
    expect(await kit.kit.row(waiting.id)).toMatchObject({ state: 'PENDING', failures: 0 });
    expect(worker.isReady).toBe(false);
    await worker.stop();
    await waiting.cancel();
  });

  it('leaves tasks that name it to workers that can, which begin them without a message', {
    timeout: 120_000,
  }, async () => {
    vi.stubEnv('TASK_TEST_DECLARED', 'declared');
    onTestFinished(() => void vi.unstubAllEnvs());
    const code = `if (process.env.TASK_TEST_DECLARED) throw new Error('it cannot be used')`;
    const broken = kit.worker({ concurrency: 4, spare: 1 }, { nodeArguments: preload(code) });
    await broken.start();
    await expect.poll(() => broken.isReady).toBe(false);
    const handles = await Promise.all(Array.from({ length: 100 }, () => kit.tasks.submit('whoami', {})));
    // More than it has unsettled at once: what comes behind them is not held up.
    expect(await (await submit(1)).result({ timeout: 20 })).toBe(2);
    await expect.poll(() => broken.stats.passed).toBeGreaterThanOrEqual(handles.length);
    const healthy = kit.worker({ concurrency: 4, spare: 1, reuse: 1_000, pollMs: 3_000 });
    await healthy.start();
    // Four with each look into the tables would make it 75 s.
    await Promise.all(handles.map((handle) => handle.result({ timeout: 45 })));
    await broken.stop();
    await healthy.stop();
  });
});
