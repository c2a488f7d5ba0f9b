import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { OverMaxConcurrencyError, TaskFailedError } from '../../src/errors.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import type { Tasks } from '../../src/task/tasks.ts';

const files = [fileURLToPath(new URL('../support/task-project/tasks.ts', import.meta.url))];
let service: SvcCommService;
let tasks: Tasks;

async function madeService(): Promise<SvcCommService> {
  const taskRegistry = new TaskRegistry();
  taskRegistry.addExports(await import('../support/task-project/tasks.ts'));
  const given = {
    appId: 'shop',
    brokerUrl: 'embedded:memory',
    databaseUrl: 'embedded:memory',
    logLevel: 'silent',
    worker: { concurrency: 2, grace: '500ms' },
  } as const;
  // Its processes find tsx, which the sources need, from the repository.
  const settings = resolveSettings(given, { root: fileURLToPath(new URL('../..', import.meta.url)) });
  return createService(settings, { taskRegistry });
}

beforeAll(async () => {
  service = await madeService();
  await service.relay().start();
  await service.worker({ files }).start();
  tasks = await service.tasks();
});
afterAll(async () => {
  await service.close();
});

it('runs tasks on the embedded broker and database, with their progress', async () => {
  const handle = await tasks.submit('steps', {});
  const fractions: number[] = [];
  for await (const event of handle.events()) if (event.kind === 'progress') fractions.push(event.fraction);
  expect(await handle.result()).toBe('done');
  expect(fractions.at(-1)).toBe(1);
  await expect((await tasks.submit('fails', {})).result({ timeout: 30 })).rejects.toThrow(TaskFailedError);
});

it('gives every task the addresses of the servers that it runs on, so that what it starts is started there', async () => {
  const handle = await tasks.submit('starter', { x: 41 });
  const id = (await handle.result({ timeout: 30 })) as string;
  expect(await tasks.result(id, { timeout: 30 })).toBe(42);
});

it('submits with the transaction that the code runs in', async () => {
  const handle = await service.transaction(async () => tasks.submit('addition', { x: 1, y: 2 }));
  expect(await handle.result({ timeout: 30 })).toBe(3);
  const undone = service.transaction(async () => {
    await tasks.submit('addition', { x: 1, y: 2 }, { idempotencyKey: 'undone' });
    throw new Error('undo');
  });
  await expect(undone).rejects.toThrow('undo');
  expect((await tasks.submit('addition', { x: 1, y: 2 }, { idempotencyKey: 'undone' })).wasKnown).toBe(false);
});

it('submits the first task of a process in a transaction, which has the database to itself until it ends', async () => {
  const first = await madeService();
  onTestFinished(() => first.close());
  const submit = async () => (await first.tasks()).submit('addition', { x: 1, y: 2 });
  const handle = await first.transaction(submit);
  expect(await handle.record()).toMatchObject({ name: 'addition', state: 'PENDING' });
});

it('keeps a limit, delays, and ends what is cancelled', async () => {
  const held = await tasks.submit('refusing', { ms: 60_000 });
  await expect(tasks.submit('refusing', { ms: 1 })).rejects.toThrow(OverMaxConcurrencyError);
  await expect.poll(() => held.state(), { timeout: 20_000 }).toBe('STARTED');
  expect(await held.cancel({ timeout: 30 })).toEqual({ state: 'REVOKED', hadEnded: false });
  const later = await tasks.submit('addition', { x: 2, y: 2 }, { delay: '300ms' });
  expect(await later.result({ timeout: 30 })).toBe(4);
});
