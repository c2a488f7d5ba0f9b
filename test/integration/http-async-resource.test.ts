import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../src/errors.ts';
import { asyncResource } from '../../src/http/async-resource/async-resource.ts';
import type { ResourceHandlers } from '../../src/http/async-resource/operations.ts';
import { type Answer, json, request, startServer, type TestServer } from '../support/fastify-kit.ts';
import { double, fails, give, nap, narrow } from '../support/http-project/tasks.ts';
import { least } from '../support/least.ts';
import { WorkerKit } from '../support/task-kit.ts';

const GRACE_MS = 1000;
const UNKNOWN = '30049f59-b619-4890-a1eb-d53b245797d1';

let kit: WorkerKit;
let server: TestServer;

const everything: ResourceHandlers = {
  getList: ({ query }) => give.startFrom({ json: JSON.stringify({ getList: query.q ?? null }) }),
  postList: ({ body }) => give.startFrom({ json: JSON.stringify({ postList: body }) }),
  putList: ({ body }) => give.startFrom({ json: JSON.stringify({ putList: body }) }),
  deleteList: () => give.start({ json: '"deleteList"' }),
  patchList: () => give.start({ json: '"patchList"' }),
  getDetail: (_request, id) => give.start({ json: JSON.stringify({ getDetail: id }) }),
  postDetail: (_request, id) => give.start({ json: JSON.stringify({ postDetail: id }) }),
  putDetail: (_request, id) => give.start({ json: JSON.stringify({ putDetail: id }) }),
  deleteDetail: (_request, id) => give.start({ json: JSON.stringify({ deleteDetail: id }) }),
  patchDetail: (_request, id) => give.start({ json: JSON.stringify({ patchDetail: id }) }),
};

beforeAll(async () => {
  kit = await WorkerKit.create('http-project');
  const { tasks } = kit;
  const options = { tasks, cancelWait: '1500ms' } as const;
  server = await startServer(
    async (app) => {
      const add = (name: string, handlers: ResourceHandlers, more = {}) =>
        app.register(asyncResource(name, handlers, options), { prefix: '/api/v1', ...more });
      await add('double', { getList: ({ query }) => double.startFrom({ number: query.foo }) });
      await add('everything', everything);
      await add('other', {
        getList: ({ query }) => nap.startFrom(query),
        postDetail: () => undefined,
        putList: () => fails.start({}),
      });
      await add('hasty', { getList: ({ query }) => nap.startFrom(query) }, { cancelWait: '200ms' });
      await add('seen', { getList: ({ query }) => double.startFrom({ number: query.foo }) }, { seeOther: true });
      await add('give', { postList: ({ body }) => give.startFrom({ json: JSON.stringify(body) }) });
      await add('found', {
        getList: ({ query }) => give.startFrom({ json: JSON.stringify(Array(45).fill(query.limit)) }),
      });
      await add('narrow', { postList: () => narrow.start({ ms: 60_000 }) });
      await add('rated', { postList: () => double.start({ number: 1 }) }, { rateLimit: 0.01 });
      await app.register(asyncResource('double', { getList: () => double.start({ number: 5 }) }, options), {
        prefix: '/of/:tenant',
      });
      await add('several', {
        postList: async () => {
          const [, last] = await Promise.all([double.start({ number: 3 }), double.start({ number: 4 })]);
          return last;
        },
      });
      await add(
        'own',
        { getList: ({ query }) => double.startFrom({ number: query.foo }) },
        {
          authorize: (_request: unknown, action: string, task?: { readonly name: string }) =>
            action === 'getList' || task?.name === 'double',
        },
      );
      await add('wrong', { postList: () => ({}) as { id: string } });
      await add(
        'allowed',
        { getList: ({ query }) => nap.startFrom(query), postList: () => double.start({ number: 1 }) },
        {
          authorize: (request: { headers: Record<string, unknown> }, action: string) =>
            request.headers['x-may'] === action,
        },
      );
    },
    { guard: { authenticate: ({ headers }) => headers['x-user']?.toString() ?? { owner: 'root', seesAll: true } } },
  );
  await kit.worker({ graceMs: GRACE_MS }).start();
});
afterAll(async () => {
  await server.stop();
  await kit.close();
});

const api = (path: string, init?: RequestInit): Promise<Answer> => server.request(`/api/v1${path}`, init);
const follow = (path: string, init?: RequestInit): Promise<Answer> => server.request(path, init);
const location = (answer: Answer): string => {
  expect(answer.status).toBe(202);
  return answer.headers.get('location') ?? '';
};
const idOf = (path: string): string => path.split('/').at(-2) ?? '';
/** The state that waits for the end. */
const end = (path: string): Promise<Answer> => follow(path, { headers: { prefer: 'wait=60' } });
const resultOf = async (started: Answer, query = ''): Promise<Answer> => {
  const { result_uri } = (await end(location(started))).json as { result_uri: string };
  return follow(result_uri + query);
};
const del = { method: 'DELETE' };

describe('an operation', () => {
  it('starts a task and says where its state is', async () => {
    const started = await api('/double/?foo=1');
    const path = location(started);
    expect(path).toMatch(/^\/api\/v1\/double\/state\/[0-9a-f-]{36}\/$/);
    expect(started.headers.get('retry-after')).toBe('1');
    const id = idOf(path);
    expect((await end(path)).json).toEqual({
      id,
      resource_uri: path,
      result_uri: `/api/v1/double/result/${id}/`,
      state: 'SUCCESS',
    });
    expect((await follow(`/api/v1/double/result/${id}/`)).json).toEqual({ result: 2 });
  });

  it('says so below a prefix that is a parameter, as the request has it', async () => {
    const path = location(await server.request('/of/a%20b/double/'));
    expect(path).toMatch(/^\/of\/a%20b\/double\/state\/[0-9a-f-]{36}\/$/);
    const { json: state } = await end(path);
    expect(state).toMatchObject({ resource_uri: path, result_uri: path.replace('state', 'result') });
    expect((await follow(path.replace('state', 'result'))).json).toEqual({ result: 10 });
  });

  it('is one of ten, with and without a slash at the end', { timeout: 120_000 }, async () => {
    const body = (method: string) =>
      method === 'GET' || method === 'DELETE' ? { method } : { ...json({ b: 1 }), method };
    const ask = async (method: string, slash: string) => {
      const verb = method.toLowerCase();
      const list = await resultOf(await api(`/everything${slash}`, body(method)));
      expect(list.text).toContain(`${verb}List`);
      const detail = await resultOf(await api(`/everything/a%2Fb${slash}`, body(method)));
      expect(detail.json).toEqual({ [`${verb}Detail`]: 'a/b' });
    };
    const methods = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'];
    await Promise.all(methods.flatMap((method) => ['', '/'].map((slash) => ask(method, slash))));
  });

  it('that is not implemented is answered with 501, and another method with 405', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'])
      expect((await api('/double/', { method })).status).toBe(501);
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']) {
      expect((await api('/double/7/', { method })).status).toBe(501);
    }
    for (const path of ['/double/', '/double/7/', `/double/state/${UNKNOWN}/`, `/double/result/${UNKNOWN}`]) {
      const { status, headers } = await api(path, { method: 'OPTIONS' });
      expect([path, status, headers.get('allow')]).toEqual([path, 405, expect.stringContaining('GET')]);
    }
    expect((await api(`/double/state/${UNKNOWN}/`, { method: 'POST' })).headers.get('allow')).toBe('GET, HEAD, DELETE');
    expect((await api(`/double/result/${UNKNOWN}/`, del)).status).toBe(405);
  });

  it('is not started by a HEAD', async () => {
    const before = await kit.kit.db.count('svc_comm_task');
    expect((await api('/double/?foo=1', { method: 'HEAD' })).status).toBe(405);
    expect(await kit.kit.db.count('svc_comm_task')).toBe(before);
  });

  it('that starts nothing, or with wrong arguments, is answered with 400 and why', async () => {
    expect((await api('/other/7/', { method: 'POST' })).json).toMatchObject({
      status: 400,
      detail: 'this request starts nothing',
    });
    const wrong = await api('/double/?foo=one');
    expect(wrong.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(wrong.json).toMatchObject({
      status: 400,
      title: 'Bad Request',
      code: 'SVC_COMM_INVALID_TASK_ARGUMENTS',
      problems: [{ argument: 'number', kind: 'invalid', expected: 'INTEGER', got: '"one"' }],
    });
    expect((await api('/double/')).json).toMatchObject({ problems: [{ argument: 'number', kind: 'missing' }] });
    expect((await api('/wrong/', json({}))).status).toBe(400);
  });

  it('over the limit of its task is answered with 503 and when to come again', async () => {
    const places = [1, 2, 3, 4].map(() => api('/narrow/', json({})));
    const answers = (await Promise.all(places)).toSorted((a, b) => a.status - b.status);
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 503]);
    expect(answers[3]?.headers.get('retry-after')).toBe('1');
    expect(answers[3]?.json).toMatchObject({ code: 'SVC_COMM_OVER_MAX_CONCURRENCY' });
    await kit.tasks.cancelAll('narrow');
  });

  it('too often for its resource is answered with 429', async () => {
    const statuses = [];
    for (let n = 0; n < 4; n += 1)
      statuses.push(
        (await api('/rated/', { ...json({}), headers: { 'x-user': 'quick', 'content-type': 'application/json' } }))
          .status,
      );
    expect(statuses).toEqual([202, 429, 429, 429]);
    expect((await api('/rated/', json({}, { 'x-user': 'other' }))).status).toBe(202);
  });

  it('answers with the result at once when the client would rather wait, and with 202 when that takes longer', async () => {
    const quick = await api('/double/?foo=4', { headers: { prefer: 'respond-async, wait=20' } });
    expect([quick.status, quick.json]).toEqual([200, { result: 8 }]);
    expect(quick.headers.get('preference-applied')).toBe('wait=20');
    expect(quick.headers.get('content-location')).toMatch(/^\/api\/v1\/double\/result\//);
    const slow = await api('/other/?ms=60000', { headers: { prefer: 'wait=0' } });
    await follow(location(slow), del);
  });

  it('that starts several of one task does so once for an Idempotency-Key', async () => {
    // The second one's own key is made of it, and no longer than any.
    const key = 'k'.repeat(255);
    const ask = () => api('/several', json({}, { 'idempotency-key': key, 'x-user': 'sue' }));
    const first = location(await ask());
    expect(location(await ask())).toBe(first);
    expect(location(await api('/several', json({}, { 'x-user': 'sue' })))).not.toBe(first);
    expect(await kit.tasks.list({ name: 'double', submitter: 'sue' })).toHaveLength(4);
    const { result_uri } = (await end(first)).json as { result_uri: string };
    expect((await follow(result_uri)).json).toEqual({ result: 8 });
  });

  it('with the Idempotency-Key of an earlier one starts nothing more', async () => {
    const start = (foo: number, headers: Record<string, string>) => api(`/double/?foo=${foo}`, { headers });
    const first = location(await start(1, { 'idempotency-key': '"a \\"quoted\\" key"' }));
    expect(location(await start(1, { 'idempotency-key': 'a "quoted" key' }))).toBe(first);
    const conflict = await start(2, { 'idempotency-key': '"a \\"quoted\\" key"' });
    expect([conflict.status, conflict.json]).toMatchObject([422, { code: 'SVC_COMM_TASK_CONFLICT' }]);
    expect(location(await start(1, { 'idempotency-key': 'other' }))).not.toBe(first);
    expect((await start(1, { 'idempotency-key': 'x'.repeat(300) })).status).toBe(400);
  });

  it.each(['', '""', 'x'.repeat(256)])('with the Idempotency-Key %j is refused, and starts nothing', async (key) => {
    const before = await kit.kit.db.count('svc_comm_task');
    for (const path of ['/double/?foo=1', '/several']) {
      const method = path === '/several' ? 'POST' : 'GET';
      const refused = await api(path, { method, headers: { 'idempotency-key': key } });
      expect([refused.status, refused.json]).toMatchObject([
        400,
        { code: 'SVC_COMM_INVALID_ARGUMENT', detail: expect.stringContaining('1 to 255 characters') },
      ]);
    }
    expect(await kit.kit.db.count('svc_comm_task')).toBe(before);
  });
});

describe('a state', () => {
  it('has no result_uri while it runs, and says how far it is', async () => {
    const path = location(await api('/other/?ms=60000'));
    const id = idOf(path);
    let { json: body } = await follow(path);
    expect(body).toMatchObject({ id, resource_uri: path });
    expect(body).not.toHaveProperty('result_uri');
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
      body = (await follow(path)).json;
      if (typeof body === 'object' && body && 'progress' in body) break;
    }
    expect(body).toEqual({ id, resource_uri: path, state: 'STARTED', progress: 0.5, note: 'half of it' });
    const early = await api(`/other/result/${id}/`);
    expect([early.status, early.headers.get('retry-after')]).toEqual([404, '1']);
    expect((await follow(path, del)).status).toBe(410);
  });

  it('leads to the result by 303 when that is asked for', async () => {
    const path = location(await api('/seen/?foo=3'));
    const seen = await end(path);
    expect([seen.status, seen.headers.get('location')]).toEqual([303, `/api/v1/seen/result/${idOf(path)}/`]);
    expect((await request(`${server.url}${path}`, { redirect: 'follow' })).json).toEqual({ result: 6 });
    const once = location(await api('/double/?foo=3'));
    expect((await end(once)).status).toBe(200);
    expect((await follow(`${once}?redirect=1`)).status).toBe(303);
  });

  it('that failed leads to why, without a stack', async () => {
    const path = location(await api('/other/', { method: 'PUT' }));
    expect((await end(path)).json).toMatchObject({ state: 'FAILURE', result_uri: expect.any(String) });
    expect((await api(`/other/result/${idOf(path)}/`)).json).toEqual({ error: 'no such thing' });
  });

  it('is not found for what was never started', async () => {
    for (const id of [UNKNOWN, '1', '..%2f', 'x'.repeat(300)]) {
      expect((await api(`/double/state/${id}/`)).status).toBe(404);
      expect((await api(`/double/result/${id}/`)).status).toBe(404);
      expect((await api(`/double/state/${id}/`, del)).status).toBe(404);
    }
  });
});

describe('a result', () => {
  const start = (body: unknown) => api('/give/', json(body));

  it('is shown as what it is', async () => {
    expect((await resultOf(await start(2))).json).toEqual({ result: 2 });
    expect((await resultOf(await start(false))).json).toEqual({ result: false });
    expect((await resultOf(await start(null))).json).toEqual({ result: null });
    expect((await resultOf(await start({ a: [1] }))).json).toEqual({ a: [1] });
    const text = await resultOf(await start('<b>"text"</b>'));
    expect([text.text, text.headers.get('content-type')]).toEqual(['<b>"text"</b>', 'text/plain; charset=utf-8']);
    expect(text.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('that is a list comes in pages', async () => {
    const started = await start(Array.from({ length: 45 }, (_, n) => n));
    const path = `/api/v1/give/result/${idOf(location(started))}/`;
    expect((await resultOf(started)).json).toEqual({
      meta: { limit: 20, offset: 0, total_count: 45, next: `${path}?limit=20&offset=20`, previous: null },
      objects: Array.from({ length: 20 }, (_, n) => n),
    });
    expect((await follow(`${path}?limit=20&offset=40`)).json).toEqual({
      meta: { limit: 20, offset: 40, total_count: 45, next: null, previous: `${path}?limit=20&offset=20` },
      objects: [40, 41, 42, 43, 44],
    });
    expect((await follow(`${path}?limit=0`)).json).toMatchObject({ meta: { limit: 1000, next: null } });
    expect((await follow(`${path}?limit=-1`)).status).toBe(400);
    expect((await follow(`${path}?offset=x`)).status).toBe(400);
  });

  it("that is waited for comes from its first page on, whatever the operation's own query says", async () => {
    const wait = { headers: { prefer: 'wait=20' } };
    for (const limit of ['5', 'none']) {
      const answer = await api(`/found/?limit=${limit}&offset=40`, wait);
      const path = answer.headers.get('content-location') ?? '';
      expect([answer.status, path]).toEqual([200, expect.stringMatching(/^\/api\/v1\/found\/result\/[0-9a-f-]+\/$/)]);
      const next = `${path}?limit=20&offset=20`;
      expect(answer.json).toEqual({
        meta: { limit: 20, offset: 0, total_count: 45, next, previous: null },
        objects: Array(20).fill(limit),
      });
      expect((await follow(next)).json).toMatchObject({ meta: { offset: 20, previous: `${path}?limit=20&offset=0` } });
    }
  });
});

describe('a cancelled task', () => {
  it('is gone when it has really ended, and stays so', async () => {
    const path = location(await api('/other/?ms=60000'));
    expect((await follow(path, del)).status).toBe(410);
    expect((await kit.tasks.record(idOf(path))).state).toBe('REVOKED');
    expect((await follow(path)).status).toBe(410);
    expect((await api(`/other/result/${idOf(path)}/`)).status).toBe(410);
    expect((await follow(path, del)).status).toBe(410);
  });

  it('that has not ended yet is answered with 202 until it has, within its grace time and a second', async () => {
    const deleteMs = await least(GRACE_MS + 1000, async () => {
      const path = location(await api('/hasty/?ms=60000&stubborn=true'));
      for (let body: unknown; !(typeof body === 'object' && body && 'progress' in body); )
        body = (await follow(path)).json;
      const statuses: number[] = [];
      const from = await kit.kit.now();
      while (statuses.at(-1) !== 410) statuses.push((await follow(path, del)).status);
      const tookMs = await kit.kit.tookMs(idOf(path), from);
      console.log(`DELETE of a run that ignores SIGTERM: ${statuses} within ${tookMs} ms, grace ${GRACE_MS} ms`);
      expect(statuses[0]).toBe(202);
      expect(statuses.filter((status) => status !== 202 && status !== 410)).toEqual([]);
      expect((await kit.tasks.record(idOf(path))).state).toBe('REVOKED');
      return tookMs;
    });
    expect(deleteMs).toBeLessThan(GRACE_MS + 1000);
  });

  it('that had ended by itself is answered with 400', async () => {
    const path = location(await api('/double/?foo=1'));
    await end(path);
    expect((await follow(path, del)).json).toMatchObject({ status: 400, detail: 'it has ended already, as SUCCESS' });
  });
});

describe('a stream of events', () => {
  const events = (text: string) =>
    text
      .split('\n\n')
      .filter((block) => block.includes('data: '))
      .map((block) => Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2))));
  const accept = { headers: { accept: 'text/event-stream' } };

  it('tells each state and the progress until the end', async () => {
    const path = location(await api('/other/?ms=300'));
    const stream = await follow(path, accept);
    expect([stream.status, stream.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
    const all = events(stream.text);
    expect(all.at(-1)).toMatchObject({ id: 'end', event: 'state' });
    expect(JSON.parse(all.at(-1)?.data)).toMatchObject({ state: 'SUCCESS', result_uri: expect.any(String) });
    expect(all.some(({ event, data }) => event === 'progress' && JSON.parse(data).fraction === 0.5)).toBe(true);
    // A browser connects again by itself: it is told that there is nothing more.
    expect((await follow(path, { headers: { ...accept.headers, 'last-event-id': 'end' } })).status).toBe(204);
  });

  it('is for who takes it: not where it is refused with the weight 0', async () => {
    const path = location(await api('/other/?ms=1'));
    await end(path);
    const asked = (value: string) => follow(path, { headers: { accept: value } });
    for (const refused of ['text/event-stream;q=0', 'application/json, text/event-stream; Q=0.000', '*/*']) {
      expect((await asked(refused)).headers.get('content-type')).toContain('application/json');
    }
    for (const taken of ['text/event-stream;q=0.1', 'application/json;q=0, Text/Event-Stream']) {
      expect((await asked(taken)).headers.get('content-type')).toContain('text/event-stream');
    }
  });

  it('ends with the server, and with its client', async () => {
    const tasks = await kit.kit.tasks();
    const other = await startServer(
      (app) => void app.register(asyncResource('nap', { getList: () => nap.start({ ms: 60_000 }) }), { tasks }),
    );
    const path = location(await other.request('/nap/'));
    const open = async (signal?: AbortSignal) => {
      const response = await fetch(other.url + path, { ...accept, ...(signal ? { signal } : {}) });
      const reader = response.body?.getReader();
      await reader?.read();
      return reader;
    };
    const client = new AbortController();
    const [first, second] = [await open(client.signal), await open()];
    client.abort();
    await expect(first?.read()).rejects.toThrow();
    await other.stop();
    while (!(await second?.read())?.done);
    await kit.tasks.cancelAll('nap');
  });
});

describe('who may', () => {
  it('is asked for each action', async () => {
    const may = (action: string, path: string, init: RequestInit = {}) =>
      api(path, { ...init, headers: { ...init.headers, 'x-may': action } });
    expect((await api('/allowed/?ms=60000')).json).toMatchObject({ status: 403 });
    const path = location(await may('getList', '/allowed/?ms=60000')).replace('/api/v1', '');
    expect((await may('getList', path)).status).toBe(403);
    expect((await may('state', path)).status).toBe(200);
    expect((await may('state', path.replace('state', 'result'))).status).toBe(403);
    expect((await may('result', path.replace('state', 'result'))).status).toBe(404);
    expect((await may('state', path, del)).status).toBe(403);
    expect((await may('cancel', path, del)).status).toBe(410);
    expect((await may('getList', '/allowed/', json({}))).status).toBe(403);
  });

  it('is asked of the task, which another resource may have started', async () => {
    const own = location(await api('/own/?foo=1'));
    expect((await end(own)).status).toBe(200);
    const others = location(await api('/hasty/?ms=60000')).replace('/hasty/', '/own/');
    expect((await follow(others)).status).toBe(403);
    expect((await follow(others.replace('state', 'result'))).status).toBe(403);
    expect((await follow(others, del)).status).toBe(403);
    await follow(others.replace('/own/', '/hasty/'), del);
  });

  it('does not see the tasks of another owner', async () => {
    const as = (user: string) => ({ headers: { 'x-user': user } });
    const path = location(await api('/other/?ms=60000', as('ann')));
    expect((await follow(path, as('bob'))).status).toBe(404);
    expect((await follow(path, { ...del, ...as('bob') })).status).toBe(404);
    expect((await follow(path, { headers: { ...as('bob').headers, accept: 'text/event-stream' } })).status).toBe(404);
    expect((await follow(path, as('ann'))).status).toBe(200);
    expect((await follow(path, { ...del, ...as('ann') })).status).toBe(410);
  });
});

it.each(['', 'a/b', '../x', 'x'.repeat(101)])('a resource is not named %j', (name) => {
  expect(() => asyncResource(name, {})).toThrow(InvalidArgumentError);
});

it('an operation that there is none of is refused, and not answered with 501', () => {
  const misspelt = { getlist: () => double.start({ number: 1 }) };
  expect(() => asyncResource('double', misspelt as ResourceHandlers)).toThrow(/the unknown name "getlist"/);
  expect(() => asyncResource('double', [] as ResourceHandlers)).toThrow(InvalidArgumentError);
  class Handlers {
    count = 0;
    getList = () => double.start({ number: this.count++ });
  }
  expect(() => asyncResource('double', new Handlers())).not.toThrow();
});
