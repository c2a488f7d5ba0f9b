import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { functionServer } from '../../src/http/function-server/function-server.ts';
import { health } from '../../src/http/health.ts';
import { arg } from '../../src/task/argument.ts';
import { useTaskClient } from '../../src/task/client-source.ts';
import { task } from '../../src/task/definition.ts';
import type { Tasks } from '../../src/task/tasks.ts';
import type { Worker } from '../../src/task/worker.ts';
import { deferred } from '../../src/util/deferred.ts';
import { LogLines } from '../support/broker-kit.ts';
import { json, startServer, type TestServer } from '../support/fastify-kit.ts';
import { WorkerKit } from '../support/task-kit.ts';

interface Launched {
  readonly success: boolean;
  readonly message: string;
  readonly task_id: string;
}

let kit: WorkerKit;
let folder: string;
let worker: Worker;
let server: TestServer;
/** Another one, which tells callers apart by a header. */
let owned: TestServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'svc-comm-functions-'));
  kit = await WorkerKit.create('http-project');
  const { tasks } = kit;
  server = await startServer(async (app) => {
    await app.register(functionServer, { tasks, cancelWait: '3s' });
    await app.register(health, { tasks });
  });
  owned = await startServer((app) => void app.register(functionServer, { tasks, prefix: '/fn', cancelWait: '3s' }), {
    guard: { authenticate: ({ headers }) => headers['x-user']?.toString() },
  });
  worker = kit.worker({ graceMs: 500 });
  await worker.start();
});
afterAll(async () => {
  await server.stop();
  await owned.stop();
  await kit.close();
  rmSync(folder, { recursive: true, force: true });
});

const get = async (path: string) => (await server.request(path)).json;
const post = (path: string, body: unknown = {}, headers = {}) => server.request(path, json(body, headers));
const launch = async (path: string, body: unknown = {}) => (await post(path, body)).json as Launched;
const info = async (id: string) => (await get(`/task/info/${id}`)) as { status: string; result: unknown };
const ended = async (id: string) => kit.tasks.waitForEnd(id, { timeout: 20 });

describe('a function', () => {
  it('is started, told of, and gives its result', async () => {
    const { success, message, task_id } = await launch('/double', { number: '21' });
    expect([success, message]).toEqual([true, '']);
    await ended(task_id);
    expect(await info(task_id)).toEqual({ task_id, function_name: 'double', status: 'DONE', result: 42 });
    expect(await get(`/task/done/${task_id}`)).toBe(true);
    expect(await get(`/task/result/${task_id}`)).toBe(42);
    expect(await get(`/task/list/double?limit=1`)).toEqual([await info(task_id)]);
  });

  it('with large results has a list of bounded size, which says what it leaves to /task/result/', async () => {
    const { db, queue } = kit.kit;
    await db.pg.query(
      `INSERT INTO ${db.table('svc_comm_task')} (id, name, state, args, result, queue, result_ttl_ms, expires_at)
       SELECT gen_random_uuid(), 'give', 'SUCCESS', '{"json":"1"}', to_json(repeat('x', 1024 * 1024 - 2))::text, $1, 1, 'infinity'
       FROM generate_series(1, 30)`,
      [queue],
    );
    const answer = await server.request('/task/list/give');
    expect(answer.status).toBe(200);
    expect(Buffer.byteLength(answer.text)).toBeLessThan(8.1 * 1024 * 1024);
    const listed = answer.json as { task_id: string; result: string | null; result_omitted?: true }[];
    expect(listed.map(({ result }) => result?.length)).toEqual(
      Array.from({ length: 30 }, (_, n) => (n < 8 ? 1024 * 1024 - 2 : undefined)),
    );
    expect(listed.map(({ result_omitted }) => result_omitted)).toEqual(
      listed.map((_, n) => (n < 8 ? undefined : true)),
    );
    expect(await get(`/task/result/${listed[29]?.task_id}`)).toHaveLength(1024 * 1024 - 2);
    await db.pg.query(`DELETE FROM ${db.table('svc_comm_task')} WHERE expires_at = 'infinity'`);
  });

  it('is RUNNING with no result until it has ended', async () => {
    const { task_id } = await launch('/nap', { ms: 60_000 });
    expect(await info(task_id)).toMatchObject({ status: 'RUNNING', result: null });
    expect((await server.request(`/task/result/${task_id}`)).text).toBe('null');
    expect(await get(`/task/done/${task_id}`)).toBe(false);
    expect(await get('/function/running-count/nap')).toBe(1);
    expect(await post(`/terminate/task/${task_id}`)).toMatchObject({ status: 200, json: {} });
    expect(await info(task_id)).toMatchObject({ status: 'FAILED', result: expect.stringContaining('was cancelled') });
    expect(await get('/function/running-count/nap')).toBe(0);
  });

  it('has a running count of those that hold a place: of those that queue for one none, of delayed ones by its limit', async () => {
    await Promise.all(Array.from({ length: 10 }, () => launch('/patient', { ms: 60_000 })));
    const started = async () => (await kit.tasks.list({ name: 'patient', states: ['STARTED'] })).length;
    await expect.poll(started).toBe(2);
    expect(await get('/function/running-count/patient')).toBe(2);
    await post('/terminate/function/patient');
    expect(await get('/function/running-count/patient')).toBe(0);
    for (const [name, count] of [
      ['narrow', 1],
      ['patient', 0],
      ['nap', 0],
    ] as const) {
      const delayed = await kit.tasks.submit(name, { ms: 1 }, { delay: '1h' });
      expect([name, await get(`/function/running-count/${name}`)]).toEqual([name, count]);
      await delayed.cancel();
      expect([name, await get(`/function/running-count/${name}`)]).toEqual([name, 0]);
    }
  });

  it('that fails or runs into its timeout says so, without a stack', async () => {
    const [failing, slow] = [await launch('/fails'), await launch('/brief')];
    await Promise.all([ended(failing.task_id), ended(slow.task_id)]);
    expect(await info(failing.task_id)).toMatchObject({ status: 'FAILED', result: 'no such thing' });
    expect(await info(slow.task_id)).toMatchObject({ status: 'TIMEOUT', result: 'timeout' });
    expect(await post('/fails/keep-connection')).toMatchObject({ status: 500, json: { error: 'no such thing' } });
    expect(await post('/brief/keep-connection')).toMatchObject({ status: 504, json: { error: 'timeout' } });
  });

  it('keeps the connection until there is its result, of any kind', async () => {
    for (const result of [0, 'text', null, false, [1, 2], { a: { b: 1 } }]) {
      const answer = await post('/give/keep-connection', { json: JSON.stringify(result) });
      expect([answer.status, answer.json]).toEqual([200, result]);
      expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
    }
  });

  it('all of which are ended by its name', async () => {
    const started = await Promise.all([1, 2, 3].map(() => launch('/nap', { ms: 60_000 })));
    expect(await post('/terminate/function/nap')).toMatchObject({ status: 200, json: {} });
    for (const { task_id } of started) expect(await info(task_id)).toMatchObject({ status: 'FAILED' });
    expect(await post('/terminate/function/nap')).toMatchObject({ status: 200, json: {} });
  });

  it('that is registered later is served at once', async () => {
    expect((await post('/late')).status).toBe(404);
    kit.kit.registry.add(task({ name: 'late', args: { when: arg.string() } }, () => 1));
    expect(await post('/late')).toMatchObject({ status: 400, json: { error: 'Parameter Missing: when' } });
    expect(await get('/function/definition/late')).toMatchObject({ function_name: 'late', timeout: 86_400 });
  });

  it('is started once for one Idempotency-Key', async () => {
    const headers = { 'idempotency-key': '"k-1"' };
    const [first, second] = [
      await post('/double', { number: 1 }, headers),
      await post('/double', { number: 1 }, headers),
    ];
    expect(second.json).toEqual(first.json);
    expect(await post('/double', { number: 2 }, headers)).toMatchObject({ status: 422 });
  });

  it.each(['', '""', 'x'.repeat(256)])('is not started for the Idempotency-Key %j', async (key) => {
    for (const path of ['/double', '/double/keep-connection']) {
      const refused = await post(path, { number: 1 }, { 'idempotency-key': key });
      expect(refused).toMatchObject({ status: 400, json: { detail: expect.stringContaining('1 to 255 characters') } });
    }
  });
});

it('a task carries the correlation of the request that started it', async () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const answer = await post('/double', { number: 1 }, { 'x-correlation-id': 'c-9', traceparent });
  const row = await kit.kit.row((answer.json as Launched).task_id);
  expect(row).toMatchObject({ correlation_id: 'c-9', traceparent });
});

describe('what is wrong', () => {
  it.each([
    ['/addition', { x: 3 }, 400, { error: 'Parameter Missing: y' }],
    ['/addition', {}, 400, { error: 'Parameter Missing: x; Parameter Missing: y' }],
    ['/addition', { x: 'three', y: 6 }, 400, { error: 'Parameter is Invalid: x "three" INTEGER' }],
    ['/addition', [3, 6], 400, { error: expect.stringContaining('Parameter is Invalid: arguments') }],
    ['/addition/keep-connection', { x: true, y: 6 }, 400, { error: 'Parameter is Invalid: x true INTEGER' }],
    ['/strict', { at: 'never' }, 400, { error: expect.stringContaining('Parameter is Invalid: at') }],
    ['/unknown', {}, 404, { error: 'Function Not Found: unknown' }],
    ['/unknown/keep-connection', {}, 404, { error: 'Function Not Found: unknown' }],
    ['/terminate/function/unknown', {}, 404, { error: 'Function Not Found: unknown' }],
    ['/terminate/task/unknown', {}, 404, { error: 'Task Not Found' }],
  ])('with POST %s %j is answered with %i', async (path, body, status, error) => {
    expect(await post(path, body)).toMatchObject({ status, json: error });
  });

  it.each([
    ['/function/definition/unknown', 404],
    ['/function/running-count/unknown', 404],
    ['/task/list/unknown', 404],
    ['/task/list/double?limit=0', 400],
    ['/task/list/double?offset=-1', 400],
    ['/task/info/30049f59-b619-4890-a1eb-d53b245797d1', 404],
    ['/task/done/..%2f..%2fetc%2fpasswd', 404],
    ["/task/result/';DROP TABLE x", 404],
    ['/addition', 404],
    ['/nothing/here/at/all', 404],
  ])('with GET %s is answered with %i', async (path, status) => {
    expect((await server.request(path)).status).toBe(status);
  });

  it('by the caller’s own broken JSON, form or size is refused, and nothing is started', async () => {
    const before = await kit.kit.db.count('svc_comm_task');
    const send = (type: string, body: string) =>
      server.request('/addition', { method: 'POST', headers: { 'content-type': type }, body });
    expect((await send('application/json', '{"x":3,')).status).toBe(400);
    expect((await send('application/x-www-form-urlencoded', 'x=3&y=6')).status).toBe(415);
    expect((await send('application/json', JSON.stringify({ x: 'x'.repeat(1_100_000) }))).status).toBe(413);
    expect(await kit.kit.db.count('svc_comm_task')).toBe(before);
  });
});

const as = (user: string, path: string, init: RequestInit = {}) =>
  owned.request(`/fn${path}`, { ...init, headers: { ...init.headers, 'x-user': user } });

it('an owner sees, lists and ends their own tasks only', async () => {
  const { task_id } = (await as('ann', '/nap', json({ ms: 60_000 }))).json as Launched;
  expect((await as('ann', `/task/info/${task_id}`)).json).toMatchObject({ status: 'RUNNING' });
  for (const path of ['info', 'done', 'result']) {
    expect((await as('bob', `/task/${path}/${task_id}`)).status).toBe(404);
  }
  expect((await as('bob', '/task/list/nap')).json).toEqual([]);
  // The limit is everybody's.
  expect((await as('bob', '/function/running-count/nap')).json).toBe(1);
  expect((await as('ann', '/task/list/nap')).json).toMatchObject([{ task_id }]);
  expect((await as('bob', `/terminate/task/${task_id}`, { method: 'POST' })).status).toBe(404);
  expect((await as('bob', '/terminate/function/nap', { method: 'POST' })).status).toBe(200);
  expect((await as('ann', `/task/info/${task_id}`)).json).toMatchObject({ status: 'RUNNING' });
  await as('ann', '/terminate/function/nap', { method: 'POST' });
  expect((await as('ann', `/task/info/${task_id}`)).json).toMatchObject({ status: 'FAILED' });
});

describe('an owner', () => {
  it('has Idempotency-Keys of their own', async () => {
    const body = json({ number: 1 }, { 'idempotency-key': 'same' });
    const [ann, bob] = [await as('ann', '/double', body), await as('bob', '/double', body)];
    expect(ann.json).not.toEqual(bob.json);
  });

  it('is told the addresses as they are under a prefix', async () => {
    expect((await as('ann', '/')).text.split('\n')[0]).toBe('/fn/function/list/data');
    expect((await as('ann', '/function/list/text')).text).toContain('    async api: /fn/addition\n');
  });
});

describe('a server', () => {
  it('says of itself that it is ready, and when it is not', async () => {
    expect(await server.request('/health/ready')).toMatchObject({ status: 200, json: { status: 'ok' } });
    const tasks = await kit.kit.tasks();
    const logger = new LogLines();
    const other = await startServer((app) => void app.register(health, { tasks }), { logger });
    await tasks.stop();
    for (const _ of [1, 2]) {
      expect(await other.request('/health/ready')).toMatchObject({ status: 503, json: { status: 'unavailable' } });
    }
    // Once, with the reason.
    const warnings = logger.lines.filter(({ level }) => level === 'warn');
    expect(warnings).toMatchObject([
      { text: expect.stringContaining('not ready'), fields: { error: expect.any(Error) } },
    ]);
    // As JSON too, which has nothing of an error by itself.
    expect(JSON.stringify(warnings[0]?.fields)).toContain('SVC_COMM_NOT_RUNNING');
    expect((await other.request('/health')).status).toBe(200);
    await other.stop();
  });

  it('whose first start waits for the database is not ready, and keeps one question of all who ask, however long it takes', async () => {
    const started = deferred<Tasks>();
    let asked = 0;
    useTaskClient(() => {
      asked += 1;
      return started.promise;
    });
    const other = await startServer((app) => void app.register(health));
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on('warning', warned);
    const statuses = async () => {
      const answers = await Promise.all(Array.from({ length: 12 }, () => other.request('/health/ready')));
      return [...new Set(answers.map(({ status }) => status))];
    };
    expect(await statuses()).toEqual([503]);
    expect(await statuses()).toEqual([503]);
    expect(asked).toBe(1);
    const waiting = statuses();
    started.resolve(kit.tasks);
    expect(await waiting).toEqual([200]);
    expect(await statuses()).toEqual([200]);
    expect(warnings).toEqual([]);
    process.off('warning', warned);
    await other.stop();
  });

  it('that stops ends the connections that it kept, and the function runs on', async () => {
    const tasks = await kit.kit.tasks();
    const other = await startServer((app) => void app.register(functionServer, { tasks }));
    const until = join(folder, 'stopped');
    const kept = other.request('/nap/keep-connection', json({ ms: 500, until }));
    await expect.poll(() => get('/function/running-count/nap')).toBe(1);
    await other.stop();
    writeFileSync(until, '');
    const { status, headers } = await kept;
    expect(status).toBe(503);
    const id = headers.get('task-id') ?? '';
    expect((await ended(id)).state).toBe('SUCCESS');
  });

  it('forgets a client that went away, and the function runs on', async () => {
    const gone = new AbortController();
    const until = join(folder, 'gone');
    const kept = server.request('/nap/keep-connection', { ...json({ ms: 500, until }), signal: gone.signal });
    kept.catch(() => undefined);
    await expect.poll(() => get('/function/running-count/nap')).toBe(1);
    gone.abort();
    await expect(kept).rejects.toThrow();
    writeFileSync(until, '');
    const [{ id } = { id: '' }] = await kit.tasks.list({ name: 'nap', limit: 1 });
    expect((await ended(id)).state).toBe('SUCCESS');
  });
});

describe('the limit of a function', () => {
  it('is never exceeded: four servers, limit 3, 200 posts at once', async () => {
    const servers = await Promise.all(
      [1, 2, 3, 4].map(async () => {
        const tasks = await kit.kit.tasks();
        return startServer((app) => void app.register(functionServer, { tasks }));
      }),
    );
    let most = 0;
    let isWatching = true;
    const watching = (async () => {
      while (isWatching) {
        most = Math.max(
          most,
          await kit.kit.db.count('svc_comm_task', `name = 'narrow' AND state IN ('PENDING', 'STARTED')`),
        );
      }
    })();
    const posts = Array.from({ length: 200 }, (_, n) => servers[n % 4]?.request('/narrow', json({ ms: 300 })));
    const answers = (await Promise.all(posts)).map((answer) => answer?.json as Launched);
    const started = answers.filter(({ success }) => success);
    const refused = answers.filter(({ success }) => !success);
    for (const answer of refused)
      expect(answer).toEqual({ success: false, message: 'Over Max Concurrency 3', task_id: '' });
    await Promise.all(started.map(({ task_id }) => ended(task_id)));
    isWatching = false;
    await watching;
    console.log(
      `200 posts to 4 servers: ${started.length} started, ${refused.length} refused, at most ${most} at once`,
    );
    expect(started.length).toBeGreaterThanOrEqual(3);
    expect(most).toBeLessThanOrEqual(3);
    expect(most).toBeGreaterThan(0);
    await Promise.all(servers.map((one) => one.stop()));
  });
});
