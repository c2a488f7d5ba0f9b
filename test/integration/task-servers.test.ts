import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import type { TaskHandle } from '../../src/task/handle.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import type { Tasks } from '../../src/task/tasks.ts';
import { type OwnPostgres, type OwnRabbit, startOwnPostgres, startOwnRabbit } from '../support/own-servers.ts';

const files = [fileURLToPath(new URL('../support/task-project/tasks.ts', import.meta.url))];
let folder: string;
let rabbit: OwnRabbit;
let postgres: OwnPostgres;
let service: SvcCommService;
let tasks: Tasks;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'svc-comm-task-servers-'));
  [rabbit, postgres] = await Promise.all([startOwnRabbit(), startOwnPostgres()]);
  const taskRegistry = new TaskRegistry();
  taskRegistry.addExports(await import('../support/task-project/tasks.ts'));
  const given = {
    appId: 'tasks',
    brokerUrl: rabbit.url,
    databaseUrl: postgres.url,
    logLevel: 'silent',
    worker: { concurrency: 3, spare: 1, grace: '500ms', lease: '60s' },
  } as const;
  const settings = resolveSettings(given, { root: fileURLToPath(new URL('../..', import.meta.url)) });
  service = createService(settings, { taskRegistry });
  await service.migrate();
  await service.relay().start();
  await service.worker({ files }).start();
  tasks = await service.tasks();
});
afterAll(async () => {
  await service?.close();
  await Promise.all([rabbit?.remove(), postgres?.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

const linesOf = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);

/** Three that run and three that wait behind them. @returns when the first three have begun */
async function begun(file: string): Promise<TaskHandle[]> {
  const handles = [];
  for (let n = 0; n < 6; n++) handles.push(await tasks.submit('nap', { ms: 3_000, file }));
  await expect.poll(() => linesOf(file).length, { timeout: 60_000 }).toBe(3);
  return handles;
}

async function eachOnce(handles: readonly TaskHandle[], file: string): Promise<void> {
  for (const handle of handles) expect(await handle.result({ timeout: 120 })).toBe(3_000);
  const states = await Promise.all(handles.map(async (handle) => (await handle.record()).attempt));
  expect(states).toEqual(handles.map(() => 1));
  for (const { id } of handles) {
    expect(linesOf(file).filter((line) => line.includes(id))).toEqual([`begin ${id} 1`, `end ${id} 1`]);
  }
}

describe('while tasks run', () => {
  it('a broker that is killed and comes back costs no run: what runs ends, what waits is begun', async () => {
    const file = join(folder, 'broker');
    const handles = await begun(file);
    await rabbit.flushDeclarations();
    await rabbit.kill9();
    // Written without a broker, and begun: the row is there, and an idle worker finds it.
    handles.push(await tasks.submit('nap', { ms: 3_000, file }));
    await eachOnce(handles, file);
    await rabbit.restart();
    const after = await tasks.submit('nap', { ms: 1, file });
    expect(await after.result({ timeout: 120 })).toBe(1);
  });

  it('a database that is killed and comes back within the lease costs no run: ends are written when it is there', async () => {
    const file = join(folder, 'database');
    const handles = await begun(file);
    await postgres.kill9();
    // The first three end meanwhile, and nobody takes them down.
    await expect.poll(() => linesOf(file).filter((line) => line.startsWith('end')).length, { timeout: 60_000 }).toBe(3);
    await postgres.start();
    await eachOnce(handles, file);
  });

  it('both at once cost none either', async () => {
    const file = join(folder, 'both');
    const handles = await begun(file);
    await rabbit.flushDeclarations();
    await Promise.all([rabbit.kill9(), postgres.kill9()]);
    await postgres.start();
    await rabbit.restart();
    await eachOnce(handles, file);
  });
});
