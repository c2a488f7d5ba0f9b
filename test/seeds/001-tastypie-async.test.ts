import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, request } from '../support/fastify-kit.ts';
import { GROUNDS, SeedProject } from '../support/seed-project.ts';

const TASKS = `
import { setTimeout as sleep } from 'node:timers/promises';
import { arg, task, taskRegistry } from 'svc-comm/task';

export const double = task({ name: 'double', args: { number: arg.integer() } }, ({ number }) => number * 2);
export const echo = task({ name: 'echo', args: { text: arg.string() } }, ({ text }) => text);
export const long = task({ name: 'long' }, (_args, { signal }) => sleep(60_000, undefined, { signal }));
taskRegistry.add(double, echo, long);
`;

/** The seed's resource, one that has all ten operations, and one that answers with 303. */
const API = `
import { asyncResource, HttpServer } from 'svc-comm/http';
import { double, echo, long } from './tasks.js';

const DoubleResource = { getList: (request) => double.startFrom({ number: request.query.foo }) };
const every = {};
for (const method of ['Get', 'Post', 'Put', 'Delete', 'Patch']) {
  every[method.toLowerCase() + 'List'] = () => echo.start({ text: method + ' list' });
  every[method.toLowerCase() + 'Detail'] = (_request, id) => echo.start({ text: method + ' detail ' + id });
}

const server = new HttpServer({
  port: 0,
  async register(app) {
    const prefix = '/api/v1';
    await app.register(asyncResource('double', DoubleResource, { cancelWait: '2s' }), { prefix });
    await app.register(asyncResource('moved', DoubleResource, { seeOther: true }), { prefix });
    await app.register(asyncResource('every', every), { prefix });
    await app.register(asyncResource('long', { getList: () => long.start({}) }, { cancelWait: '2s' }), { prefix });
  },
});
await server.start();
console.log('listening on ' + server.url);
process.on('SIGTERM', async () => {
  await server.stop();
  await (await import('svc-comm')).close();
  process.exit(0);
});
`;

interface State {
  readonly id: string;
  readonly resource_uri: string;
  readonly result_uri?: string;
  readonly state: string;
}

describe.each(GROUNDS)('seed 001 on %s', (ground) => {
  const project = new SeedProject(ground, { 'src/tasks.js': TASKS, 'src/api.js': API });
  let base: string;
  let location: string;

  beforeAll(async () => {
    if (ground === 'real servers') await project.migrate();
    const { line } = await project.start(['src/api.js'], 'listening on');
    base = line.slice('listening on '.length);
  });
  afterAll(() => project.remove());

  const http = (method: string, path: string, headers: Record<string, string> = {}): Promise<Answer> =>
    request(base + path.replace('http://localhost:8001', ''), { method, headers });
  const stateAtEnd = (path: string) => http('GET', path, { prefer: 'wait=30' });

  it('GET /api/v1/foo/?foo=1, Status: 202 ACCEPTED, Location:/api/v1/double/state/30049f59-b619-4890-a1eb-d53b245797d1/', async () => {
    // The seed's own request names foo; the resource of its example, and of the Location, is double.
    const { status, headers } = await http('GET', '/api/v1/double/?foo=1');
    location = headers.get('location') ?? '';
    expect(status).toBe(202);
    expect(location).toMatch(/^\/api\/v1\/double\/state\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\/$/);
  });

  it('GET /api/v1/double/state/30049f59-b619-4890-a1eb-d53b245797d1/, Status: 200 OK, "state":"PENDING"', async () => {
    // No worker runs yet.
    const { status, json } = await http('GET', location);
    const id = location.split('/').at(-2);
    expect([status, json]).toEqual([200, { id, resource_uri: location, state: 'PENDING' }]);
  });

  it('DELETE http://localhost:8001/api/v1/double/state/7fbd961a-75d8-4aae-bd41-64296de661fa/, Status: 410 Gone: before it runs', async () => {
    const path = (await http('GET', '/api/v1/double/?foo=7')).headers.get('location') ?? '';
    expect((await http('DELETE', `http://localhost:8001${path}`)).status).toBe(410);
    expect((await http('GET', path)).status).toBe(410);
  });

  it('GET /api/v1/double/state/30049f59-b619-4890-a1eb-d53b245797d1/, Status: 200 OK, "state":"SUCCESS", with a result_uri', async () => {
    await Promise.all([
      project.startCli(['runpublisher'], 'publishing from the outbox'),
      project.startCli(['runworker'], 'taking tasks'),
    ]);
    const { status, json } = await stateAtEnd(location);
    const id = location.split('/').at(-2);
    const result_uri = `/api/v1/double/result/${id}/`;
    expect([status, json]).toEqual([200, { id, resource_uri: location, result_uri, state: 'SUCCESS' }]);
  });

  it('GET http://localhost:8001/api/v1/double/result/394daac4-3daa-4a0f-87b8-f9e2c8c73749/, Status: 200 OK, {"result": 2}', async () => {
    const { status, json } = await http('GET', `http://localhost:8001${location.replace('state', 'result')}`);
    expect([status, json]).toEqual([200, { result: 2 }]);
  });

  it('DELETE http://localhost:8001/api/v1/double/state/7fbd961a-75d8-4aae-bd41-64296de661fa/, Status: 410 Gone: while it runs', async () => {
    const path = (await http('GET', '/api/v1/long/')).headers.get('location') ?? '';
    await expect.poll(async () => ((await http('GET', path)).json as State).state, { timeout: 30_000 }).toBe('STARTED');
    let { status } = await http('DELETE', `http://localhost:8001${path}`);
    // On a machine that is too busy to end it in time the answer is that it is under way.
    while (status === 202) ({ status } = await http('DELETE', path));
    expect(status).toBe(410);
    expect((await http('GET', path)).status).toBe(410);
    expect((await http('GET', path.replace('state', 'result'))).status).toBe(410);
  });

  it('return 202 CREATED on task submission, and issue a 303 SEE OTHER on status requests when the result is available', async () => {
    const started = await http('GET', '/api/v1/moved/?foo=4');
    const path = started.headers.get('location') ?? '';
    expect(started.status).toBe(202);
    const seen = await stateAtEnd(path);
    expect([seen.status, seen.headers.get('location')]).toEqual([303, path.replace('state', 'result')]);
    expect((await http('GET', path.replace('state', 'result'))).json).toEqual({ result: 8 });
  });

  it.each([
    ['GET /', 'async_get_list'],
    ['GET /<pk>/', 'async_get_detail'],
    ['POST /', 'async_post_list'],
    ['POST /<pk>/', 'async_post_detail'],
    ['PUT /', 'async_put_list'],
    ['PUT /<pk>/', 'async_put_detail'],
    ['DELETE /', 'async_delete_list'],
    ['DELETE /<pk>/', 'async_delete_detail'],
    ['PATCH /', 'async_patch_list'],
    ['PATCH /<pk>/', 'async_patch_detail'],
  ])('%s => %s', async (line, operation) => {
    const [method = '', path = ''] = line.split(' ');
    const started = await http(method, `/api/v1/every${path.replace('<pk>', '42')}`);
    expect(started.status).toBe(202);
    const { result_uri = '' } = (await stateAtEnd(started.headers.get('location') ?? '')).json as State;
    const [, verb, kind] = operation.split('_');
    expect((await http('GET', result_uri)).text.toLowerCase()).toBe(`${verb} ${kind}${kind === 'detail' ? ' 42' : ''}`);
    // Of the other resource it is not implemented.
    if (operation !== 'async_get_list') {
      expect((await http(method, `/api/v1/double${path.replace('<pk>', '42')}`)).status).toBe(501);
    }
  });
});
