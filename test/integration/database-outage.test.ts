import { type FastifyInstance, fastify } from 'fastify';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { ASKED_MS } from '../../src/database/link.ts';
import { leaveDefault, useAsDefault } from '../../src/default-service.ts';
import { DatabaseUnavailableError, TaskRevokedError } from '../../src/errors.ts';
import { asyncResource } from '../../src/http/async-resource/async-resource.ts';
import { docs } from '../../src/http/docs/docs.ts';
import { functionServer } from '../../src/http/function-server/function-server.ts';
import { processApi } from '../../src/http/process-api/process-api.ts';
import { SERVER_OPTIONS } from '../../src/http/server.ts';
import { type Logger, silentLogger } from '../../src/lifecycle/logger.ts';
import { defineProcess } from '../../src/process/definition.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import { task } from '../../src/task/definition.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { deferred } from '../../src/util/deferred.ts';
import { json, request } from '../support/fastify-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { TaskKit } from '../support/task-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
// They say that plugins take tasks and processes of the default service.
import '../../src/process-door.ts';
import '../../src/task-door.ts';

const idle = task({ name: 'idle' }, () => undefined);
const ID = '01a228ef-67dd-728f-88f3-db6bf750f71e';

let kit: TaskKit;
let proxy: TcpProxy;
let service: SvcCommService;
const more: SvcCommService[] = [];

/** Of a process whose only synchronous task begins and does not end before it is told to. */
function heldProcess() {
  const begun = deferred<void>();
  const end = deferred<void>();
  let begins = 0;
  const hold = async () => {
    begins += 1;
    begun.resolve();
    await end.promise;
  };
  const processRegistry = new ProcessRegistry();
  processRegistry.add(defineProcess({ id: 'held', tasksSync: [hold, function never() {}] }));
  return { processRegistry, begun: begun.promise, end: () => end.resolve(), begins: () => begins };
}

/** A service behind the proxy. */
function made(lease: '1s' | '30s', parts: { processRegistry?: ProcessRegistry; logger?: Logger } = {}) {
  const { url, schema } = kit.db;
  const settings = resolveSettings({
    appId: 'outage',
    queue: schema,
    brokerUrl: testBrokerUrl(),
    databaseUrl: proxy.url(url),
    schema,
    logLevel: 'silent',
    instances: { lease },
  });
  const taskRegistry = new TaskRegistry();
  taskRegistry.add(idle);
  return createService(settings, { taskRegistry, processRegistry: new ProcessRegistry(), ...parts });
}

beforeAll(async () => {
  kit = await TaskKit.create();
  kit.registry.add(idle);
});
afterAll(() => kit.close());
beforeEach(async () => {
  proxy = await TcpProxy.to(kit.db.url);
  service = made('30s');
});
afterEach(async () => {
  proxy.heal();
  for (const one of [service, ...more.splice(0)]) await one.close();
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

  it('who creates an instance is told so when its lease is over; it is ended, and no step of it is begun again', {
    timeout: 60_000,
  }, async () => {
    const held = heldProcess();
    const creator = made('1s', { processRegistry: held.processRegistry });
    more.push(creator);
    const creating = (await creator.processes()).create('held', {}, { id: ID });
    const told = expect(creating).rejects.toBeInstanceOf(DatabaseUnavailableError);
    await held.begun;
    proxy.refuse();
    proxy.cut();
    held.end();
    await told;
    proxy.heal();
    const state = async () => (await (await service.processes()).find(ID))?.state;
    await expect.poll(state, { timeout: 30_000 }).toBe('Failed');
    expect(await (await service.processes()).find(ID)).toMatchObject({
      tasks: [{ status: 'LOST' }, { status: 'SKIPPED' }],
    });
    expect(held.begins()).toBe(1);
  });

  it('a service closes: what looks after instances does not wait for it', { timeout: 30_000 }, async () => {
    const looks = deferred<void>();
    const warn = (fields: { connection?: string }) => fields.connection === 'processes' && looks.resolve();
    const closing = made('1s', { logger: { ...silentLogger, warn } });
    more.push(closing);
    await closing.processes();
    proxy.refuse();
    proxy.cut();
    await looks.promise;
    await closing.close();
  });

  it('a service closes: what creates an instance is told, and waits no longer', { timeout: 20_000 }, async () => {
    const held = heldProcess();
    const closing = made('30s', { processRegistry: held.processRegistry });
    more.push(closing);
    const creating = (await closing.processes()).create('held', {});
    const told = expect(creating).rejects.toMatchObject({ code: 'SVC_COMM_NOT_RUNNING' });
    await held.begun;
    proxy.refuse();
    proxy.cut();
    await closing.close();
    await told;
  });
});

describe('an application whose first request comes while the database is down', () => {
  let app: FastifyInstance;
  let url: string;
  let arrived: Promise<void>;

  beforeEach(async () => {
    await proxy.goDown();
    const processRegistry = new ProcessRegistry();
    processRegistry.add(defineProcess({ id: 'quick', tasksSync: [function nothing() {}] }));
    const own = made('30s', { processRegistry });
    more.push(own);
    useAsDefault(own);
    app = fastify(SERVER_OPTIONS);
    const all = deferred<void>();
    arrived = all.promise;
    let requests = 0;
    app.addHook('preHandler', async () => {
      requests += 1;
      if (requests === 4) all.resolve();
    });
    await app.register(functionServer, { prefix: '/functions' });
    await app.register(asyncResource('idle', { getList: () => idle.startFrom({}) }));
    await app.register(processApi, { prefix: '/processes' });
    url = await app.listen({ port: 0 });
    return () => leaveDefault(own);
  });
  afterEach(() => app.close());

  const ask = () =>
    Promise.all([
      request(`${url}/functions/idle`, json({})),
      request(`${url}/functions/function/list/data`),
      request(`${url}/idle/`),
      request(`${url}/processes/quick`, json({})),
    ]);

  it('answers 503 within the time that it answers so later, and serves when the database is there', {
    timeout: 120_000,
  }, async () => {
    const began = performance.now();
    for (const answer of await ask()) {
      expect(answer).toMatchObject({ status: 503, json: { code: 'SVC_COMM_DATABASE_UNAVAILABLE' } });
    }
    expect(performance.now() - began).toBeLessThan(2 * ASKED_MS);
    await proxy.listen();
    const statuses = async () => (await ask()).map(({ status }) => status);
    await expect.poll(statuses, { timeout: 60_000 }).toEqual([200, 200, 202, 201]);
  });

  it('starts with routes of the processes that are registered, and tells what they are', {
    timeout: 60_000,
  }, async () => {
    const other = fastify(SERVER_OPTIONS);
    await other.register(processApi, { prefix: '/processes', serves: 'registered' });
    await other.register(docs, { title: 'outage', version: '1' });
    const began = performance.now();
    const origin = await other.listen({ port: 0 });
    expect(await request(`${origin}/processes/quick`)).toMatchObject({ status: 200, json: { id: 'quick' } });
    const { json: described } = await request(`${origin}/openapi.json`);
    expect(described).toMatchObject({ paths: { '/processes/quick': { post: { summary: expect.any(String) } } } });
    expect((await request(`${url}/processes`)).json).toMatchObject([{ id: 'quick' }]);
    expect(performance.now() - began).toBeLessThan(ASKED_MS);
    const created = await request(`${origin}/processes/quick`, json({}));
    expect(created).toMatchObject({ status: 503, json: { code: 'SVC_COMM_DATABASE_UNAVAILABLE' } });
    await other.close();
  });

  it('closes: requests that wait are answered 503, and not waited for', { timeout: 60_000 }, async () => {
    const asked = ask();
    await arrived;
    const began = performance.now();
    await app.close();
    expect(performance.now() - began).toBeLessThan(ASKED_MS);
    for (const { status } of await asked) expect(status).toBe(503);
  });
});
