import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { defineProcess } from '../../src/process/definition.ts';
import type { Processes } from '../../src/process/processes.ts';
import { Tasks } from '../../src/task/tasks.ts';
import { json, type TestServer } from '../support/fastify-kit.ts';
import { ProcessKit } from '../support/process-kit.ts';
import { GROUNDS } from '../support/seed-project.ts';

interface Instance {
  readonly id: string;
  readonly state: string;
  readonly tasks: readonly { readonly name: string; readonly status: string; readonly taskId: string | null }[];
}

/** So many lists in each other. */
const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);

describe.each(GROUNDS)('the process API on %s', (ground) => {
  let kit: ProcessKit;
  let processes: Processes;
  let server: TestServer;
  /** The answer to a request while no worker runs: of its tasks it tells how they are then, and one may have begun them. */
  let created: Awaited<ReturnType<TestServer['request']>>;

  beforeAll(async () => {
    vi.stubEnv('HIT_STORE', 'here').stubEnv('SECRET_OF_THE_SERVER', 'hush');
    kit = await ProcessKit.create(ground);
    const service = kit.service();
    processes = await service.processes();
    server = await kit.serve(processes);
    created = await post('/hello?x=1', { foo: 'you', bar: 1, count: '7' });
    await kit.startWorker(service);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await kit.close();
  });

  const post = (path: string, body: unknown = {}, headers = {}) => server.request(path, json(body, headers));
  const put = (path: string, body: unknown = {}) => server.request(path, { ...json(body), method: 'PUT' });
  const get = (path: string) => server.request(path);
  const remove = (path: string) => server.request(path, { method: 'DELETE' });
  const ended = (id: string) => processes.ended(id, { timeout: 40 });

  it('creates an instance: synchronous results in the answer, asynchronous ones later', async () => {
    expect(created).toMatchObject({
      status: 201,
      json: {
        process: 'hello',
        state: 'Running',
        input: { foo: 'you', bar: 1, count: 7 },
        finishedAt: null,
        tasks: [
          { name: 'sayHello', kind: 'sync', status: 'SUCCESS', result: { says: 'hello you' }, error: null },
          { name: 'analytics.recordHit', kind: 'async', status: 'PENDING', input: [3], result: null },
        ],
      },
    });
    const { id } = created.json as Instance;
    expect(created.headers.get('location')).toBe(`/hello/${id}`);
    await ended(id);
    expect((await get(`/hello/${id}`)).json).toMatchObject({
      state: 'Complete',
      finishedAt: expect.any(String),
      tasks: [
        { status: 'SUCCESS' },
        {
          status: 'SUCCESS',
          result: {
            weight: 3,
            foo: 'you',
            heard: { sayHello: { says: 'hello you' } },
            store: 'here',
            secret: null,
            hasRaw: false,
          },
          startedAt: expect.any(String),
          finishedAt: expect.any(String),
        },
      ],
    });
  });

  it('refuses what does not hold, with each reason, and writes nothing', async () => {
    const refused = await post('/hello', { count: 'many' });
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect(refused).toMatchObject({
      status: 422,
      json: {
        code: 'SVC_COMM_INVALID_PROCESS_INPUT',
        errors: [
          { kind: 'field', name: 'foo', why: 'it is required' },
          { kind: 'field', name: 'count', why: 'expected a whole number, got "many"' },
          { kind: 'validation', name: 'requiredFields', why: 'required: foo, bar' },
        ],
      },
    });
    const rude = await post('/hello', { foo: 'rude', bar: 1 });
    expect(rude).toMatchObject({
      status: 422,
      json: { errors: [{ kind: 'validation', name: 'notRude', why: 'rude words are not said here' }] },
    });
    expect(await processes.list({ states: ['New', 'Failed'] })).toEqual([]);
  });

  it.each([60, 62])(
    'refuses what is nested deeper than workers take before anything is done: %i lists',
    async (depth) => {
      const ids = async () => ((await get('/hello/instances')).json as readonly Instance[]).map(({ id }) => id);
      const before = await ids();
      const refused = await post('/hello', { foo: 'you', bar: 1, deep: nested(depth) });
      expect(refused).toMatchObject({ status: 400, json: { code: 'SVC_COMM_UNSERIALISABLE_PAYLOAD' } });
      expect(await ids()).toEqual(before);
      const created = await post('/hello', { foo: 'you', bar: 1, deep: nested(59) });
      expect((await ended((created.json as Instance).id)).state).toBe('Complete');
    },
  );

  it('lists no more than 8 MiB of what instances were given and have returned; each has that at its own address', async () => {
    const large = 'x'.repeat(900 * 1024);
    const echo = ({ body }: { body: { large: string } }) => body.large;
    kit.registry.add(defineProcess({ id: 'echoes', tasksSync: [[echo, [1]]] }));
    for (let n = 0; n < 6; n++) expect((await post('/echoes', { large, n })).status).toBe(201);
    const listed = (await get('/echoes/instances')).json as readonly (Instance & { readonly location?: string })[];
    const whole = { state: 'Complete', input: { large }, tasks: [{ input: [1], result: large }] };
    const abridged = {
      state: 'Complete',
      input: null,
      tasks: [{ name: 'echo', status: 'SUCCESS', input: null, result: null }],
      abridged: true,
    };
    expect(listed).toMatchObject([whole, whole, whole, whole, abridged, abridged]);
    expect(listed[0]).not.toHaveProperty('abridged');
    expect((await get(listed[5]?.location ?? '')).json).toMatchObject({ ...whole, input: { large, n: 0 } });
    expect(await processes.list({ process: 'echoes', offset: 4 })).toMatchObject([
      { input: { n: 1 } },
      { input: { n: 0 } },
    ]);
  });

  it('answers 502 when a synchronous task has a result that is nested deeper than workers take', async () => {
    const deepens = () => nested(61);
    kit.registry.add(defineProcess({ id: 'deepens', tasksSync: [deepens], tasksAsync: [function unreached() {}] }));
    expect(await post('/deepens')).toMatchObject({
      status: 502,
      json: { task: 'deepens', taskStatus: 'FAILURE', instance: { tasks: [{}, { status: 'SKIPPED' }] } },
    });
  });

  it('answers 502 when a synchronous task fails: with earlier results, and without what would have come later', async () => {
    const failed = await post('/failing', { foo: 'you' });
    const tasks = [
      { name: 'sayHello', status: 'SUCCESS', result: { says: 'hello you' } },
      { name: 'fails', status: 'FAILURE', error: { name: 'TypeError', message: 'no such thing' } },
      { name: 'nap', status: 'SKIPPED' },
      { name: 'analytics.recordHit', status: 'SKIPPED', taskId: null },
    ];
    expect(failed).toMatchObject({
      status: 502,
      json: {
        status: 502,
        task: 'fails',
        taskStatus: 'FAILURE',
        detail: 'task fails failed: no such thing',
        instance: { state: 'Failed', tasks },
      },
    });
    const { id } = (failed.json as { instance: Instance }).instance;
    expect((await get(`/failing/${id}`)).json).toMatchObject({ state: 'Failed', tasks });
    expect((await get('/failing/instances')).json).toMatchObject([{ id, state: 'Failed' }]);
  });

  it('ends an instance at once when it cannot be handed to the workers', async () => {
    const submit = vi.spyOn(Tasks.prototype, 'startTask').mockRejectedValueOnce(new TypeError('cannot be submitted'));
    try {
      expect(await post('/hello', { foo: 'you', bar: 1 })).toMatchObject({ status: 500 });
    } finally {
      submit.mockRestore();
    }
    const [instance] = (await get('/hello/instances?limit=1')).json as unknown as Instance[];
    expect(instance).toMatchObject({ state: 'Failed', tasks: [{ status: 'SUCCESS' }, { status: 'SKIPPED' }] });
  });

  it('ends an instance as Failed when an asynchronous task fails, after the others have ended', async () => {
    const { id } = (await post('/breaks')).json as Instance;
    await ended(id);
    expect((await get(`/breaks/${id}`)).json).toMatchObject({
      state: 'Failed',
      tasks: [
        { status: 'FAILURE', error: { message: 'no such thing' } },
        { status: 'SUCCESS', result: 'slept' },
      ],
    });
  });

  it('is Complete at once without asynchronous tasks', async () => {
    expect(await post('/plain', { foo: 'a' })).toMatchObject({ status: 201, json: { state: 'Complete' } });
  });

  it('takes the id of the caller: the same again is the same, another body is a conflict', async () => {
    const id = randomUUID();
    const body = { foo: 'a', bar: { x: 1, y: 2 } };
    const first = await put(`/hello/${id}`, body);
    expect([first.status, (first.json as Instance).id]).toEqual([201, id]);
    const again = await put(`/hello/${id}`, { bar: { y: 2, x: 1 }, foo: 'a' });
    expect([again.status, (again.json as Instance).id]).toEqual([200, id]);
    expect((await put(`/hello/${id}`, { ...body, foo: 'b' })).status).toBe(409);
    expect((await put(`/plain/${id}`, body)).status).toBe(409);
    expect((await put('/hello/not-an-id', body)).status).toBe(400);
  });

  it('makes one instance of two requests with one id at the same time, and runs its tasks once', async () => {
    let runs = 0;
    const counts = () => {
      runs += 1;
    };
    kit.registry.add(defineProcess({ id: 'counts', tasksSync: [counts] }));
    for (const process of ['hello', 'counts']) {
      const id = randomUUID();
      const answers = await Promise.all([1, 2, 3, 4].map(() => put(`/${process}/${id}`, { foo: 'a', bar: 1 })));
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 201]);
      await ended(id);
      expect((await get(`/${process}/instances?limit=1000`)).json).toMatchObject(
        expect.arrayContaining([expect.objectContaining({ id, state: 'Complete' })]),
      );
    }
    expect(runs).toBe(1);
  });

  it('takes an Idempotency-Key for the same', async () => {
    const headers = { 'idempotency-key': `"${randomUUID()}"` };
    const first = await post('/plain', { foo: 'a' }, headers);
    const again = await post('/plain', { foo: 'a' }, headers);
    expect([first.status, again.status]).toEqual([201, 200]);
    expect((again.json as Instance).id).toBe((first.json as Instance).id);
    expect((await post('/plain', { foo: 'b' }, headers)).status).toBe(409);
  });

  it.each(['', '""', 'x'.repeat(256)])('refuses the Idempotency-Key %j', async (key) => {
    const refused = await post('/plain', { foo: 'a' }, { 'idempotency-key': key });
    expect(refused).toMatchObject({ status: 400, json: { detail: expect.stringContaining('1 to 255 characters') } });
  });

  it('knows the dates of a body from each other by which it is the same again', async () => {
    const key = { idempotencyKey: randomUUID() };
    const body = { foo: 'a', on: new Date(1) };
    const { instance } = await processes.create('plain', body, key);
    expect(await processes.create('plain', { ...body }, key)).toMatchObject({ wasKnown: true, instance });
    await expect(processes.create('plain', { ...body, on: new Date(2) }, key)).rejects.toMatchObject({
      code: 'SVC_COMM_PROCESS_CONFLICT',
    });
  });

  const itself: Record<string, unknown> = {};
  itself.itself = itself;

  it.each([
    ['a body with a BigInt', { foo: 1n }, {}, 'SVC_COMM_UNSERIALISABLE_PAYLOAD'],
    ['a body that contains itself', itself, {}, 'SVC_COMM_UNSERIALISABLE_PAYLOAD'],
    ['a submitter with NUL', {}, { submitter: 'a\0b' }, 'SVC_COMM_INVALID_ARGUMENT'],
    ['a submitter that is too long', {}, { submitter: 'a'.repeat(256) }, 'SVC_COMM_INVALID_ARGUMENT'],
    ['a submitter that is no text', {}, { submitter: 5 as never }, 'SVC_COMM_INVALID_ARGUMENT'],
    ['a request that is none', {}, { request: null as never }, 'SVC_COMM_INVALID_ARGUMENT'],
  ])('refuses to create from code with %s, by a code', async (_, body, options, code) => {
    await expect(processes.create('plain', body, options)).rejects.toMatchObject({ code });
  });

  it('cancels nothing when it is told how long to wait in a way that is none', async () => {
    const { instance } = await processes.create('later', {});
    await expect(processes.cancel(instance.id, { timeout: 'soon' as never })).rejects.toMatchObject({
      code: 'SVC_COMM_INVALID_ARGUMENT',
    });
    expect(await processes.find(instance.id)).toMatchObject({ state: 'Running', isCancelRequested: false });
    await processes.cancel(instance.id);
  });

  it('repeats the 502 of an instance that failed', async () => {
    const id = randomUUID();
    const answers = [await put(`/failing/${id}`, { foo: 'a' }), await put(`/failing/${id}`, { foo: 'a' })];
    expect(answers.map(({ status }) => status)).toEqual([502, 502]);
    expect(await processes.list({ process: 'failing' })).toHaveLength(2);
  });

  it('cancels what waits for its time, and what runs, with its processes', async () => {
    const waiting = (await post('/later')).json as Instance;
    expect(await remove(`/later/${waiting.id}`)).toMatchObject({
      status: 200,
      json: { state: 'Cancelled', tasks: [{ status: 'REVOKED' }] },
    });
    const running = (await post('/long')).json as Instance;
    await expect
      .poll(async () => ((await get(`/long/${running.id}`)).json as Instance).tasks[0]?.status, { timeout: 30_000 })
      .toBe('STARTED');
    expect(await remove(`/long/${running.id}`)).toMatchObject({
      status: 200,
      json: { state: 'Cancelled', tasks: [{ status: 'REVOKED' }, { status: 'REVOKED' }] },
    });
    expect((await remove(`/long/${running.id}`)).status).toBe(200);
    const done = (await post('/plain', { foo: 'a' })).json as Instance;
    expect((await remove(`/plain/${done.id}`)).status).toBe(409);
  });

  it('cancels what is left of an instance of which a task has failed: once, and it is Failed', async () => {
    const { id } = (await post('/breaks-early')).json as Instance;
    const statuses = async () =>
      ((await get(`/breaks-early/${id}`)).json as Instance).tasks.map(({ status }) => status);
    await expect.poll(statuses, { timeout: 30_000 }).toEqual(['FAILURE', 'STARTED']);
    expect(await remove(`/breaks-early/${id}`)).toMatchObject({
      status: 200,
      json: { state: 'Failed', tasks: [{ status: 'FAILURE' }, { status: 'REVOKED' }] },
    });
    expect(await remove(`/breaks-early/${id}`)).toMatchObject({
      status: 409,
      json: { detail: 'it has ended already, as Failed' },
    });
  });

  it('cancels an instance whose synchronous task runs: the next step is not begun', async () => {
    const id = randomUUID();
    const creating = put(`/slow-start/${id}`);
    await expect
      .poll(async () => ((await get(`/slow-start/${id}`)).json as Instance).tasks?.[0]?.status, { timeout: 20_000 })
      .toBe('STARTED');
    expect(await remove(`/slow-start/${id}`)).toMatchObject({
      status: 200,
      json: { state: 'Cancelled', tasks: [{ status: 'REVOKED' }, { status: 'SKIPPED', taskId: null }] },
    });
    expect(await creating).toMatchObject({ status: 201, json: { state: 'Cancelled' } });
  });

  it('is made of what was given at the call, and no step changes what others see', async () => {
    type Step = { body: { at: string }; context: { results: Record<string, { n: number }> } };
    const makes = () => ({ n: 1 });
    const meddles = ({ context }: Step, options: { n: number }) => {
      const refused = [context.results.makes, options].map((one) => Reflect.set(one ?? {}, 'n', 9));
      return { refused, n: options.n };
    };
    const looks = ({ body, context }: Step) => [body.at, context.results.makes?.n];
    kit.registry.add(defineProcess({ id: 'kept', tasksSync: [makes, [meddles, [{ n: 5 }]], looks] }));
    for (const id of [randomUUID(), randomUUID()]) {
      const body = { at: 'the call' };
      const creating = processes.create('kept', body, { id });
      body.at = 'another time';
      const { instance } = await creating;
      expect(instance).toMatchObject({ state: 'Complete', input: { at: 'the call' } });
      const results = instance.tasks.map(({ result }) => result);
      expect(results).toEqual([{ n: 1 }, { refused: [false, false], n: 5 }, ['the call', 1]]);
    }
  });

  it('lists processes with what they tell of themselves, and knows no others', async () => {
    const all = (await get('/')).json as { id: string }[];
    expect(all.map(({ id }) => id)).toContain('hello');
    expect((await get('/hello')).json).toMatchObject({
      id: 'hello',
      name: 'Hello',
      input: { type: 'object', required: ['foo'] },
      tasksAsync: [{ name: 'analytics.recordHit', args: [3], env: ['HIT_STORE'], when: { kind: 'now' } }],
    });
    for (const path of ['/hullo', `/hullo/${randomUUID()}`, `/hello/${randomUUID()}`, '/hello/x']) {
      expect((await get(path)).status).toBe(404);
    }
    expect((await post('/hullo')).json).toMatchObject({ detail: expect.stringContaining('did you mean "hello"') });
    const { id } = (await post('/plain', { foo: 'a' })).json as Instance;
    expect((await get(`/hello/${id}`)).status).toBe(404);
  });

  it('shows an owner only what is its own', async () => {
    const owned = await kit.serve(processes, { authenticate: ({ headers }) => headers['x-user']?.toString() });
    const as = (user: string) => ({ 'x-user': user });
    const id = randomUUID();
    const created = await owned.request(`/plain/${id}`, { ...json({ foo: 'a' }, as('ada')), method: 'PUT' });
    expect(created.status).toBe(201);
    const look = (path: string, user: string, method = 'GET') => owned.request(path, { method, headers: as(user) });
    expect((await look(`/plain/${id}`, 'ada')).status).toBe(200);
    expect((await look(`/plain/${id}`, 'bob')).status).toBe(404);
    expect((await look(`/plain/${id}`, 'bob', 'DELETE')).status).toBe(404);
    expect((await look('/plain/instances', 'bob')).json).toEqual([]);
    expect((await look('/plain/instances', 'ada')).json).toHaveLength(1);
    const stolen = await owned.request(`/plain/${id}`, { ...json({ foo: 'a' }, as('bob')), method: 'PUT' });
    expect(stolen.status).toBe(409);
    expect((await owned.request('/')).status).toBe(401);
  });
});
