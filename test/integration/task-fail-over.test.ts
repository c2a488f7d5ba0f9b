/** What becomes of tasks that run when the database takes their claims back: it failed over, or its clock jumped. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { connectDatabase } from '../../src/database/connection.ts';
import { LogLines } from '../support/broker-kit.ts';
import { processesWith } from '../support/processes.ts';
import { WorkerKit } from '../support/task-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: WorkerKit;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'svc-comm-fail-over-'));
  kit = await WorkerKit.create();
});
afterAll(async () => {
  await kit.close();
  rmSync(folder, { recursive: true, force: true });
});

/** No lease is renewed by time while a test lasts. */
const LEASE_MS = 300_000;
const lines = (file: string) => readFileSync(file, 'utf8').trim().split('\n');
const change = async (id: string, set: string) => {
  const { pg, table } = kit.kit.db;
  const { rows } = await pg.query(`UPDATE ${table('svc_comm_task')} SET ${set} WHERE id = $1 RETURNING queue, due_at`, [
    id,
  ]);
  return rows[0];
};

/** As the new primary has it, to which the claim never came: the task waits, and its message is to be sent. */
async function loseClaim(id: string): Promise<void> {
  const { pg, table } = kit.kit.db;
  const waits = `state = 'PENDING', attempt = 0, owner = NULL, lease_until = NULL, progress = NULL, note = NULL`;
  const { queue, due_at } = await change(id, waits);
  await pg.query(`SELECT ${table('svc_comm_task_send')}($1, $2, $3)`, [id, queue, due_at]);
}

/** As a clock sees it that is ahead of the one that set the lease. */
const endLease = (id: string) => change(id, `lease_until = clock_timestamp() - interval '1 s', note = NULL`);

describe('a worker that claims a task again which it still runs', () => {
  it.each([
    ['its lease is over by the clock of the database', endLease, 2],
    ['a fail-over has lost its claim', loseClaim, 1],
  ] as const)(
    'ends the first run before the second begins, and a cancel leaves no process of either: %s',
    async (why, takeBack, attempt) => {
      const worker = kit.worker({ concurrency: 2, leaseMs: LEASE_MS });
      await worker.start();
      const title = `claimed-again-${attempt}-${process.pid}`;
      const handle = await kit.tasks.submit('titled', { title });
      const told = async () => (await handle.record()).note;
      await expect.poll(told).toBe(title);
      const first = processesWith(title);
      expect(first, why).toHaveLength(1);
      await takeBack(handle.id);
      // The second run says so as well, and has done nothing else yet.
      await expect.poll(told, { interval: 10 }).toBe(title);
      const second = processesWith(title);
      expect(second).toHaveLength(1);
      expect(second).not.toEqual(first);
      expect(await handle.record()).toMatchObject({ attempt, state: 'STARTED' });
      expect(await handle.cancel({ timeout: 20 })).toEqual({ state: 'REVOKED', hadEnded: false });
      expect(processesWith(title)).toEqual([]);
      await expect.poll(() => worker.stats).toMatchObject({ running: 0, started: 2, finished: 1, lost: 1 });
      await worker.stop();
    },
  );
});

describe('a worker that claims a task again whose run has ended', () => {
  it('writes the end that waited for the database for the new claim, and does not run it twice', async () => {
    const proxy = await TcpProxy.to(kit.kit.db.url);
    onTestFinished(() => proxy.close());
    const url = (name: string) => (name === 'worker ends' ? proxy.url(kit.kit.db.url) : kit.kit.db.url);
    const worker = kit.worker(
      { concurrency: 2, leaseMs: LEASE_MS },
      { connect: (name, settings = {}) => connectDatabase({ url: url(name), applicationName: name, settings }) },
    );
    await worker.start();
    proxy.refuse();
    proxy.cut();
    const file = join(folder, 'ended');
    const handle = await kit.tasks.submit('nap', { ms: 1, file });
    const ended = [`begin ${handle.id} 1`, `end ${handle.id} 1`];
    await expect.poll(() => lines(file)).toEqual(ended);
    await loseClaim(handle.id);
    await expect.poll(() => handle.state()).toBe('STARTED');
    proxy.heal();
    expect(await handle.result({ timeout: 20 })).toBe(1);
    expect(await handle.record()).toMatchObject({ attempt: 1, state: 'SUCCESS' });
    await expect.poll(() => worker.stats).toMatchObject({ running: 0, started: 1, finished: 1, lost: 0 });
    await worker.stop();
    expect(lines(file)).toEqual(ended);
  });
});

describe('a worker', () => {
  it('asks for its leases as soon as its connection is back, and ends what a fail-over has taken from it', async () => {
    const proxy = await TcpProxy.to(kit.kit.db.url);
    onTestFinished(() => proxy.close());
    const log = new LogLines();
    const worker = kit.worker(
      { concurrency: 2, leaseMs: LEASE_MS },
      {
        connect: (name, settings = {}) =>
          connectDatabase({ url: proxy.url(kit.kit.db.url), applicationName: name, settings }),
        logger: log,
      },
    );
    await worker.start();
    const [taken, kept] = ['taken', 'kept'].map((word) => `${word}-${process.pid}`) as [string, string];
    const begun = async (title: string) => {
      const handle = await kit.tasks.submit('titled', { title });
      await expect.poll(async () => (await handle.record()).note).toBe(title);
      return handle;
    };
    const [lost, ours] = [await begun(taken), await begun(kept)];
    proxy.refuse();
    proxy.cut();
    // Another worker has claimed it from the new primary, to which the first claim never came.
    const another = randomUUID();
    await change(lost.id, `owner = '${another}'`);
    const leaseOf = async () => (await kit.kit.row(ours.id)).lease_until as Date;
    const before = await leaseOf();
    proxy.heal();
    await expect.poll(() => log.count('not ours any more; ending it')).toBe(1);
    await expect.poll(() => processesWith(taken)).toEqual([]);
    expect(await kit.kit.row(lost.id)).toMatchObject({ state: 'STARTED', attempt: 1, owner: another });
    expect((await leaseOf()).getTime()).toBeGreaterThan(before.getTime());
    expect(processesWith(kept)).toHaveLength(1);
    expect(await ours.cancel({ timeout: 20 })).toEqual({ state: 'REVOKED', hadEnded: false });
    await worker.stop();
    expect(worker.stats).toMatchObject({ started: 2, finished: 1, lost: 1 });
  });
});
