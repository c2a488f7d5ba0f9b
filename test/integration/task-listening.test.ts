import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectDatabase, type DatabaseConnection } from '../../src/database/connection.ts';
import { DatabaseUnavailableError } from '../../src/errors.ts';
import { TASK_CHANNEL } from '../../src/task/sql/channel.ts';
import type { TaskEvent } from '../../src/task/state.ts';
import { WorkerKit } from '../support/task-kit.ts';
import { TransactionPooler } from '../support/transaction-pooler.ts';

let kit: WorkerKit;
let pooler: TransactionPooler;
beforeEach(async () => {
  kit = await WorkerKit.create('task-project', false);
  // One that takes LISTEN and passes nothing on: as a network that is dead in one direction, or a server of before.
  pooler = await TransactionPooler.to(kit.kit.db.url, 1);
});
afterEach(async () => {
  await kit?.close();
  await pooler?.close();
});

/** Every connection leads to the database, but that which listens. */
const connecting =
  (listen: (attempt: number) => Promise<DatabaseConnection>) =>
  (name: string, settings = {}): Promise<DatabaseConnection> => {
    if (name.endsWith('listen')) return listen(attempts++);
    return direct(name, settings);
  };
const direct = (name: string, settings = {}): Promise<DatabaseConnection> => {
  const { url, schema } = kit.kit.db;
  return connectDatabase({ url, applicationName: `${schema} ${name}`, settings });
};
const deaf = (): Promise<DatabaseConnection> => connectDatabase({ url: pooler.url(kit.kit.db.url) });
let attempts: number;
beforeEach(() => {
  attempts = 0;
});

/** Resolves when the worker has told so often that it heard itself since it told something before. */
async function hearsItself(times = 1): Promise<void> {
  const listener = await kit.kit.db.pg.connect();
  let told = 0;
  listener.on('notification', ({ payload = '' }) => {
    if (payload.endsWith(` here ${kit.queue}`)) told += 1;
  });
  try {
    await listener.query(`LISTEN ${TASK_CHANNEL}`);
    await expect.poll(() => told, { timeout: 60_000 }).toBeGreaterThanOrEqual(times);
  } finally {
    listener.release(true);
  }
}

/** No relay runs, and the rows are not looked at for a minute. */
const OPTIONS = { concurrency: 1, reuse: 100, pollMs: 60_000 };

async function beginsWhatItIsTold(): Promise<void> {
  const handle = await kit.tasks.submit('addition', { x: 1, y: 2 });
  expect(await handle.result({ timeout: 20 })).toBe(3);
}

describe('a worker', () => {
  it('whose listening connection is ended listens again, and begins a told task without its message', async () => {
    const worker = kit.worker(OPTIONS);
    await worker.start();
    await hearsItself();
    const { pg, schema } = kit.kit.db;
    const { rowCount } = await pg.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1',
      [`${schema} worker listen`],
    );
    expect(rowCount).toBe(1);
    // Of the first it may have heard what came before the end.
    await hearsItself(2);
    await beginsWhatItIsTold();
  });

  it('that could not listen when it was started does so later', async () => {
    const refused = () => Promise.reject(new DatabaseUnavailableError('', 'refused'));
    const connect = connecting((attempt) => (attempt === 0 ? refused() : direct('worker listen')));
    await kit.worker(OPTIONS, { connect }).start();
    await hearsItself();
    await beginsWhatItIsTold();
  });

  it('whose listening connection hears nothing of its own makes it anew', async () => {
    const connect = connecting((attempt) => (attempt === 0 ? deaf() : direct('worker listen')));
    await kit.worker(OPTIONS, { connect }).start();
    await hearsItself();
    await beginsWhatItIsTold();
  });
});

it('who follows a task learns its progress from the row while the connection that listens hears nothing', async () => {
  const tasks = await kit.kit.tasks({ connect: connecting(deaf), pollMs: 50 });
  await kit.worker(OPTIONS).start();
  const { id } = await kit.tasks.submit('titled', { title: 'half' });
  const learnt: TaskEvent[] = [];
  for await (const event of tasks.events(id, { signal: AbortSignal.timeout(20_000) })) {
    learnt.push(event);
    if (event.kind === 'progress') break;
  }
  expect(learnt).toContainEqual({ kind: 'progress', fraction: 0.5, note: 'half' });
  await kit.tasks.cancel(id, { timeout: 20 });
});
