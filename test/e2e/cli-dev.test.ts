import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { bin, CliProject, CONSUMER, Running } from '../support/cli-project.ts';
import { isAlive } from '../support/processes.ts';
import { slowness } from '../support/slowness.ts';

const project = new CliProject({
  'src/consumers.ts': CONSUMER,
  'dist/consumers.js': 'throw new Error("a stale build");',
});
beforeAll(async () => expect(await project.cli('migrate')).toMatchObject({ code: 0 }));
afterAll(() => project.remove());

const READY = 'consuming from queue';
const isReady = (line: string): boolean => line.includes(READY);
/** Processes that said they consume. */
const pids = (dev: Running): number[] => dev.lines.filter(isReady).map((line) => JSON.parse(line).pid);

/** Does something and waits until a consumer runs that was started after it. */
async function runsAgain(dev: Running, change: () => void): Promise<{ line: string; ms: number }> {
  const from = dev.lines.length;
  const started = performance.now();
  change();
  const line = await dev.line(READY, from);
  return { line, ms: performance.now() - started };
}

it('devconsumer runs the sources, starts anew on changed and new files, survives broken ones, and ends on Ctrl-C', async () => {
  const dev = project.startCli('devconsumer', '--json', '--log-level', 'debug');
  await dev.line(READY);
  await dev.line('with 1 consumer');

  const times: string[] = [];
  let from = 0;
  for (let round = 1; round <= 3; round += 1) {
    // A change that comes long after the last one finds a child that waits.
    await dev.line('the next one stands by', from);
    from = dev.lines.length;
    const budget = 1000 * slowness();
    const { ms } = await runsAgain(dev, () => project.write('src/consumers.ts', `${CONSUMER}// ${round}\n`));
    times.push(`${ms.toFixed(0)} of ${budget.toFixed(0)} ms`);
    expect(ms).toBeLessThan(Math.max(budget, 1000 * slowness()));
  }
  console.log(`running again after a saved change: ${times.join(', ')}`);

  const added = await runsAgain(dev, () =>
    project.write(
      'src/more/consumers.ts',
      "import { messageRouter } from 'svc-comm';\nmessageRouter.consumer('EXCHANGE', 'x')(async () => {});\n",
    ),
  );
  expect(added.line).toContain('with 2 consumers');

  from = dev.lines.length;
  project.write('src/more/consumers.ts', 'this is no code');
  await dev.line('src/more/consumers.ts could not be loaded', from);
  await dev.line('starts again when a file changes', from);
  await runsAgain(dev, () => project.write('src/more/consumers.ts', 'export {};'));

  await runsAgain(dev, () => project.write('svc-comm.config.ts', 'export default { prefetch: 5 };'));
  expect(await dev.stop('SIGINT')).toBe(0);
  expect(pids(dev).filter(isAlive)).toEqual([]);
  expect(new Set(pids(dev)).size).toBe(pids(dev).length);
});

it('devconsumer leaves no process behind when it is killed', async () => {
  const dev = project.startCli('devconsumer', '--json');
  await dev.line(READY);
  const family = () =>
    execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(bin) && line.includes('--dev-child'))
      .map((line) => Number.parseInt(line, 10))
      .filter((pid) => pid > 0);
  await vi.waitFor(() => expect(family()).toHaveLength(2), { timeout: 60_000 });
  await dev.stop('SIGKILL');
  await vi.waitFor(() => expect(family()).toEqual([]), { timeout: 60_000 });
});

it('what devconsumer prints into a file of the folder that it watches does not start it anew; what stands beside a file of the setting consumers does', async () => {
  project.write('app/name.ts', 'export const name = 1;');
  project.write('app/consumers.ts', `import './name.ts';\n${CONSUMER}`);
  const output = join(project.root, 'app/output.txt');
  const fd = openSync(output, 'w');
  const dev = spawn(process.execPath, [bin, 'devconsumer', '--json'], {
    cwd: project.root,
    env: { ...project.environment, SVC_COMM_CONSUMERS: '["app/consumers.ts"]' },
    stdio: ['ignore', fd, fd],
  });
  closeSync(fd);
  try {
    const count = (text: string): number => readFileSync(output, 'utf8').split(text).length - 1;
    await vi.waitFor(() => expect(count(READY) + count('a file changed')).toBeGreaterThan(0), { timeout: 60_000 });
    expect(count('a file changed')).toBe(0);
    project.write('app/name.ts', 'export const name = 2;');
    await vi.waitFor(() => expect(count(READY)).toBe(2), { timeout: 60_000 });
    expect(count('a file changed')).toBe(1);
  } finally {
    const exit = once(dev, 'exit');
    dev.kill();
    expect(await exit).toEqual([0, null]);
  }
});

it('devpublisher starts the publisher anew', async () => {
  const dev = project.startCli('devpublisher', '--json');
  await dev.line('publishing from the outbox');
  const from = dev.lines.length;
  project.write('package.json', JSON.stringify({ name: `${project.name}_renamed`, type: 'module' }));
  expect(await dev.line('publishing from the outbox', from)).toContain('_renamed');
  expect(await dev.stop()).toBe(0);
});

it('devpublisher, devconsumer and devworker answer no monitor: settings that give it a port let them run side by side', async () => {
  const monitored = new CliProject({
    'src/consumers.ts': CONSUMER,
    'src/tasks.ts': "import { task } from 'svc-comm/task';\nexport const one = task({ name: 'one' }, () => 1);\n",
  });
  onTestFinished(() => monitored.remove());
  expect(await monitored.cli('migrate')).toMatchObject({ code: 0 });
  const taken = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void taken.close());
  await once(taken, 'listening');
  const monitor = { SVC_COMM_MONITOR_PORT: String((taken.address() as AddressInfo).port) };
  const texts = { devpublisher: 'publishing from the outbox', devconsumer: READY, devworker: 'taking tasks' };
  const started = Object.entries(texts).map(async ([command, text]) => {
    const dev = monitored.start([bin, command, '--json'], monitor);
    await dev.line(text);
    return dev;
  });
  for (const dev of await Promise.all(started)) expect(await dev.stop()).toBe(0);
});

/** In a user namespace of its own, whose limits are nobody else's. */
const WITHOUT_WATCHES = [
  '--user',
  '--map-root-user',
  'sh',
  '-c',
  'echo 0 > /proc/sys/user/max_inotify_watches && exec "$0" "$@"',
];
const canLimitWatches = spawnSync('unshare', [...WITHOUT_WATCHES, 'true'], { stdio: 'ignore' }).status === 0;

it.skipIf(!canLimitWatches)(
  'devconsumer of a user who has no inotify watch left consumes all the same, and says what to raise',
  async () => {
    const dev = new Running(
      spawn('unshare', [...WITHOUT_WATCHES, process.execPath, bin, 'devconsumer', '--json'], {
        cwd: project.root,
        env: project.environment,
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    onTestFinished(() => void dev.child.kill('SIGKILL'));
    const warning = await dev.line('cannot watch');
    expect(JSON.parse(warning).path).toContain(project.root);
    expect(warning).toContain('fs.inotify.max_user_watches');
    await dev.line(READY);
    expect(dev.lines.filter((line) => line.includes('cannot watch'))).toHaveLength(1);
    expect(await dev.stop()).toBe(0);
  },
);

const GREETER = `${CONSUMER}console.log('greets with', process.env.GREETING, process.env.KEPT);\n`;

it('a run of devconsumer under --env-file has what stands in the file by then, and what was set outside of it', async () => {
  project.write('.env', 'GREETING=hello\nKEPT=from the file\n');
  project.write('src/consumers.ts', GREETER);
  const dev = project.start(['--env-file=.env', bin, 'devconsumer', '--json'], { KEPT: 'from outside' });
  await dev.line('greets with hello from outside');
  project.write('.env', 'GREETING=welcome\nKEPT=from the file\n');
  await dev.line('greets with welcome from outside');
  expect(await dev.stop()).toBe(0);
});
