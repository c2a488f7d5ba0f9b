import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, readdirSync, readlinkSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { arg, task } from '../../../src/task-door.ts';
import { currentCorrelation } from '../../../src/util/correlation.ts';

const ME = Math.random();
let runs = 0;

export const addition = task({ name: 'addition', args: { x: arg.integer(), y: arg.integer() } }, ({ x, y }) => x + y);

/** Starts another task by the default service, which reads the settings of its process. */
export const starter = task({ name: 'starter', args: { x: arg.integer() } }, async ({ x }) => {
  const { id } = await addition.start({ x, y: 1 }, { transaction: 'own' });
  return id;
});

/** Who runs it, and what it can see. */
export const whoami = task({ name: 'whoami', env: ['TASK_TEST_DECLARED'] }, () => {
  runs += 1;
  return {
    me: ME,
    runs,
    pid: process.pid,
    namespace: readlinkSync('/proc/self/ns/pid'),
    processes: readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length,
    environment: Object.keys(process.env).sort(),
    declared: process.env.TASK_TEST_DECLARED,
    files: readdirSync('/proc/self/fd').length,
  };
});

export const nap = task(
  { name: 'nap', args: { ms: arg.integer(), file: arg.string('', { default: '' }) } },
  async ({ ms, file }, { taskId, attempt, signal }) => {
    if (file) appendFileSync(file, `begin ${taskId} ${attempt}\n`);
    await sleep(ms, undefined, { signal });
    if (file) appendFileSync(file, `end ${taskId} ${attempt}\n`);
    return ms;
  },
);

/** Its process can be found by its title. */
export const titled = task({ name: 'titled', args: { title: arg.string() } }, async ({ title }, { progress }) => {
  process.title = title;
  progress(0.5, title);
  await sleep(60_000);
});

export const narrow = task(
  { name: 'narrow', maxConcurrency: 2, onFull: 'queue', args: { ms: arg.integer(), file: arg.string() } },
  async ({ ms, file }, { taskId }) => {
    appendFileSync(file, `begin ${taskId} 1\n`);
    await sleep(ms);
    appendFileSync(file, `end ${taskId} 1\n`);
  },
);

/** @param until the file that the test makes when it may end */
export const refusing = task(
  { name: 'refusing', maxConcurrency: 1, args: { ms: arg.integer(), until: arg.string('', { default: '' }) } },
  async ({ ms, until }) => {
    while (until && !existsSync(until)) await sleep(10);
    await sleep(ms);
  },
);

export const fails = task({ name: 'fails' }, () => {
  console.log('about to fail');
  throw Object.assign(new TypeError('no such thing'), { code: 'E_THING' });
});

export const flaky = task({ name: 'flaky', retry: { attempts: 3, delays: ['50ms'] } }, (_args, { attempt }) => {
  if (attempt < 3) throw new Error(`not yet, ${attempt}`);
  return attempt;
});

export const brief = task({ name: 'brief', timeout: '300ms' }, () => sleep(60_000));

/** Looks at SIGTERM by itself, and says that it came; ends when its signal says so. */
export const watchful = task({ name: 'watchful' }, async (_args, { progress, signal }) => {
  process.on('SIGTERM', () => progress(1, 'SIGTERM'));
  progress(0.5, 'ready');
  await sleep(60_000, undefined, { signal });
});

/** Ignores SIGTERM, starts a process in a session of its own that ignores it too, and loops. */
export const stubborn = task({ name: 'stubborn', args: { mark: arg.string() } }, ({ mark }, { progress }) => {
  process.on('SIGTERM', () => undefined);
  const script = `trap '' TERM; while :; do sleep 0.05; done`;
  for (const detached of [true, false]) {
    spawn('sh', ['-c', `${script} # ${mark}`], { detached, stdio: 'ignore' }).unref();
  }
  spawn('setsid', ['sh', '-c', `${script} # ${mark}`], { stdio: 'ignore' }).unref();
  progress(0.5, 'looping');
  setTimeout(() => {
    for (;;);
  }, 200);
  return new Promise(() => undefined);
});

const hoarded: Buffer[] = [];
/** Keeps memory beyond its run, as a leak does; in the processes of `whoami`, which are those of its environment. */
export const hoards = task({ name: 'hoards', args: { mib: arg.integer() }, env: ['TASK_TEST_DECLARED'] }, ({ mib }) => {
  hoarded.push(Buffer.alloc(mib * 1024 * 1024, 1));
  return ME;
});

export const heapBomb = task({ name: 'heap-bomb' }, () => {
  const kept: unknown[] = [];
  for (;;) kept.push(new Array(10_000).fill(kept.length));
});

export const bufferBomb = task({ name: 'buffer-bomb' }, async () => {
  const kept: Buffer[] = [];
  for (;;) {
    kept.push(Buffer.alloc(8 * 1024 * 1024, 1));
    await sleep(1);
  }
});

/** A process of another program, which it starts, takes the memory. */
export const childBomb = task({ name: 'child-bomb' }, () => {
  const script = 'const kept = []; setInterval(() => kept.push(Buffer.alloc(8 * 1024 * 1024, 1)), 1)';
  spawn(process.execPath, ['-e', script], { stdio: 'ignore', detached: true }).unref();
  return new Promise(() => undefined);
});

/** As many processes as one would, to see that they are found and ended, and not more. */
export const forkBomb = task({ name: 'fork-bomb', args: { mark: arg.string() } }, ({ mark }) => {
  const script = `for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 60; : ${mark}) & done; wait`;
  for (let n = 0; n < 5; n++) spawn('setsid', ['sh', '-c', script], { stdio: 'ignore' }).unref();
  return new Promise(() => undefined);
});

export const talker = task({ name: 'talker', timeout: '300ms' }, (_args, { signal }) => {
  console.log('hello');
  return sleep(60_000, undefined, { signal });
});

/** Heeds nothing. */
export const cpuBomb = task({ name: 'cpu-bomb', timeout: '500ms' }, () => {
  for (;;);
});

export const exits = task({ name: 'exits' }, () => process.exit(3));

export const huge = task({ name: 'huge', args: { bytes: arg.integer() } }, ({ bytes }) => 'x'.repeat(bytes));

export const chatty = task({ name: 'chatty', args: { lines: arg.integer() } }, async ({ lines }) => {
  for (let n = 0; n < lines; n++) {
    if (!process.stdout.write(`line ${n} ${'x'.repeat(200)}\n`))
      await new Promise((r) => process.stdout.once('drain', r));
  }
});

export const steps = task({ name: 'steps' }, async (_args, { progress }) => {
  for (const n of [1, 2, 3, 4]) {
    progress(n / 4, `step ${n}`);
    await sleep(150);
  }
  return 'done';
});

/** Tells more of itself than is passed on at once, and once more when it has ended. */
export const hasty = task({ name: 'hasty' }, (_args, { progress }) => {
  for (const n of [0.1, 0.5, 0.9]) progress(n, 'hasty');
  setTimeout(() => progress(1, 'too late'), 150);
});

export const strange = task({ name: 'strange', args: { what: arg.string() } }, ({ what }) => {
  if (what === 'bigint') return 1n;
  if (what === 'ipc') for (const result of [5, 'no JSON', '"\0"']) process.send?.({ kind: 'done', result });
  if (what === 'throws undefined') throw undefined;
  return undefined;
});

/** Writes to the file descriptor by which its process talks to the worker. */
export const scribbles = task({ name: 'scribbles', args: { what: arg.string() } }, async ({ what }) => {
  if (what === 'a line') writeSync(3, 'no JSON\n');
  if (what === 'half a line') writeSync(3, '{"kind":');
  // A line that does not end. The worker reads it in pieces, and there is no room meanwhile.
  for (let mib = 0; what === 'no end of a line' && mib < 64; ) {
    try {
      writeSync(3, 'x'.repeat(1024));
      mib += 1 / 1024;
    } catch {
      await sleep(1);
    }
  }
});

/** Leaves its process without a way to print. */
export const mute = task({ name: 'mute', args: { how: arg.string() }, timeout: '10s' }, ({ how }) => {
  for (const stream of [process.stdout, process.stderr]) {
    if (how === 'in place of write') stream.write = () => true;
    if (how === 'ended') stream.end();
    if (how === 'destroyed') stream.destroy();
  }
  if (how === 'in place of send') process.send = () => true;
  // To an ended stream it would be an error of the task's own.
  if (how === 'in place of write') console.log('nobody reads it');
  return how;
});

/** The trace that it belongs to. */
export const traced = task({ name: 'traced' }, () => currentCorrelation()?.traceparent);
