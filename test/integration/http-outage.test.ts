import { type FastifyInstance, fastify } from 'fastify';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { asyncResource } from '../../src/http/async-resource/async-resource.ts';
import { functionServer } from '../../src/http/function-server/function-server.ts';
import { processApi } from '../../src/http/process-api/process-api.ts';
import { SERVER_OPTIONS } from '../../src/http/server.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';
import { defineProcess, processTask } from '../../src/process-door.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import { task } from '../../src/task/definition.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { deferred } from '../../src/util/deferred.ts';
import { once } from '../../src/util/once.ts';
import { until } from '../support/consumer-kit.ts';
import { json, request } from '../support/fastify-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { TaskKit } from '../support/task-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const idle = task({ name: 'idle' }, () => undefined);

let kit: TaskKit;
let proxy: TcpProxy;
let service: SvcCommService;
let app: FastifyInstance;
let url: string;
let closing: Promise<void>;
/** Runs in an operation, behind the start of its task. */
let afterStart: () => Promise<unknown>;
const ends: (() => Promise<void>)[] = [];

beforeAll(async () => {
  kit = await TaskKit.create();
});
afterAll(() => kit.close());

beforeEach(async () => {
  proxy = await TcpProxy.to(kit.db.url);
  const { schema } = kit.db;
  const databaseUrl = proxy.url(kit.db.url);
  const settings = resolveSettings({ appId: schema, brokerUrl: testBrokerUrl(), databaseUrl, schema });
  const taskRegistry = new TaskRegistry();
  taskRegistry.add(idle);
  const processRegistry = new ProcessRegistry();
  processRegistry.add(defineProcess({ id: 'later', tasksAsync: [processTask({ name: 'idles' }, () => undefined)] }));
  service = createService(settings, { taskRegistry, processRegistry, logger: silentLogger });
  const [tasks, processes] = [await service.tasks(), await service.processes()];
  afterStart = async () => undefined;
  const start = async () => {
    const started = await idle.start({});
    await afterStart();
    return started;
  };
  app = fastify(SERVER_OPTIONS);
  await app.register(functionServer, { prefix: '/functions', tasks });
  await app.register(asyncResource('idle', { postList: start }, { tasks }));
  await app.register(processApi, { prefix: '/processes', processes });
  const closes = deferred();
  closing = closes.promise;
  // A scope's hooks run behind those of the scopes before it.
  await app.register(async (scope) => {
    scope.addHook('preClose', (done) => {
      closes.resolve();
      done();
    });
  });
  url = await app.listen({ port: 0 });
});
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
  await app.close();
  proxy.heal();
  await service.close();
  await proxy.close();
});

/** Runs a statement in a transaction that stays open, and so keeps others waiting. */
async function hold(sql: string, params: readonly string[] = []) {
  const holder = await kit.db.pg.connect();
  await holder.query('BEGIN');
  const { rows } = await holder.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  await holder.query(sql, [...params]);
  const isWaiting = 'SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))';
  const end = once(async () => {
    await holder.query('ROLLBACK');
    holder.release();
  });
  ends.push(end);
  return {
    somebodyWaits: () => until(async () => (await kit.db.pg.query(isWaiting, [rows[0]?.pid])).rowCount !== 0),
    end,
  };
}

const started = async (): Promise<string> => (await request(`${url}/idle/`, json({}))).headers.get('location') ?? '';
const idOf = (path: string): string => path.split('/').at(-2) ?? '';

it.each([
  [
    'of a resource',
    async () => {
      const state = await started();
      return { taskId: idOf(state), cancel: () => request(url + state, { method: 'DELETE' }) };
    },
  ],
  [
    'of the function server',
    async () => {
      const taskId = idOf(await started());
      return { taskId, cancel: () => request(`${url}/functions/terminate/task/${taskId}`, { method: 'POST' }) };
    },
  ],
  [
    'of all tasks of a name',
    async () => {
      const taskId = idOf(await started());
      return { taskId, cancel: () => request(`${url}/functions/terminate/function/idle`, { method: 'POST' }) };
    },
  ],
  [
    'of a process instance',
    async () => {
      const created = await request(`${url}/processes/later`, json({}));
      const { id, tasks } = created.json as { id: string; tasks: { taskId: string }[] };
      const cancel = () => request(`${url}/processes/later/${id}`, { method: 'DELETE' });
      return { taskId: tasks[0]?.taskId ?? '', cancel };
    },
  ],
])('a cancel %s that could not be written is answered with 503, also by a server that closes', async (_, begin) => {
  const { taskId, cancel } = await begin();
  const held = await hold(`SELECT FROM ${kit.db.table('svc_comm_task')} WHERE id = $1 FOR UPDATE`, [taskId]);
  const answer = cancel();
  await held.somebodyWaits();
  const closed = app.close();
  await closing;
  proxy.cut();
  expect(await answer).toMatchObject({ status: 503, json: { code: 'SVC_COMM_DATABASE_UNAVAILABLE' } });
  await closed;
});

it('an operation that was started says where its state is also when the database goes while its end is waited for', async () => {
  const lock = deferred<Awaited<ReturnType<typeof hold>>>();
  afterStart = async () =>
    lock.resolve(await hold(`LOCK TABLE ${kit.db.table('svc_comm_task')} IN ACCESS EXCLUSIVE MODE`));
  const answer = request(`${url}/idle/`, json({}, { prefer: 'wait=30' }));
  const held = await lock.promise;
  await held.somebodyWaits();
  proxy.refuse();
  proxy.cut();
  expect((await answer).status).toBe(202);
  await held.end();
  proxy.heal();
  const state = (await answer).headers.get('location') ?? '';
  await until(async () => (await request(url + state)).status === 200, 30_000);
});
