import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { DatabaseUnavailableError, TaskRevokedError } from '../../src/errors.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import { task } from '../../src/task/definition.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { TaskKit } from '../support/task-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const idle = task({ name: 'idle' }, () => undefined);
const ID = '01a228ef-67dd-728f-88f3-db6bf750f71e';

let kit: TaskKit;
let proxy: TcpProxy;
let service: SvcCommService;

beforeAll(async () => {
  kit = await TaskKit.create();
  kit.registry.add(idle);
});
afterAll(() => kit.close());
beforeEach(async () => {
  const { url, schema } = kit.db;
  proxy = await TcpProxy.to(url);
  const given = {
    appId: 'outage',
    queue: schema,
    brokerUrl: testBrokerUrl(),
    databaseUrl: proxy.url(url),
    schema,
    logLevel: 'silent',
  } as const;
  const taskRegistry = new TaskRegistry();
  taskRegistry.add(idle);
  service = createService(resolveSettings(given), { taskRegistry });
});
afterEach(async () => {
  proxy.heal();
  await service.close();
  await proxy.close();
});

describe('while the database is down', () => {
  it('who asks of tasks and processes, or submits, is told so; who waits for an end waits on', {
    timeout: 120_000,
  }, async () => {
    const tasks = await service.tasks();
    const processes = await service.processes();
    const handle = await tasks.submit('idle', {});
    const ended = handle.result({ timeout: 100 }).catch((error: unknown) => error);
    // The first look of who waits is over: statements of a client run one after another.
    await handle.state();
    await handle.state();
    proxy.refuse();
    proxy.cut();
    const asked = await Promise.allSettled([
      tasks.find(handle.id),
      tasks.list(),
      tasks.counts(),
      tasks.cancel(ID),
      tasks.submit('idle', {}),
      tasks.submit('idle', {}, { idempotencyKey: 'one' }),
      processes.find(ID),
      processes.list(),
    ]);
    // Those under way at the loss are told at once; asked again, none has a connection.
    const again = await Promise.allSettled([tasks.find(handle.id), tasks.submit('idle', {}), processes.find(ID)]);
    for (const result of [...asked, ...again]) {
      expect(result).toMatchObject({ status: 'rejected', reason: expect.any(DatabaseUnavailableError) });
    }
    proxy.heal();
    await expect.poll(() => tasks.find(handle.id).catch(() => undefined), { timeout: 60_000 }).toBeDefined();
    await (await kit.tasks()).cancel(handle.id);
    expect(await ended).toBeInstanceOf(TaskRevokedError);
    expect(await tasks.list()).toHaveLength(1);
  });
});
