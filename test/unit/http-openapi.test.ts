import { request as httpRequest } from 'node:http';
import { createRequire } from 'node:module';
import { Validator } from '@seriousme/openapi-schema-validator';
import { type FastifyInstance, type FastifyPluginAsync, fastify } from 'fastify';
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { asyncResource } from '../../src/http/async-resource/async-resource.ts';
import { docs } from '../../src/http/docs/docs.ts';
import { functionServer } from '../../src/http/function-server/function-server.ts';
import type { GuardOptions } from '../../src/http/guard/options.ts';
import { health } from '../../src/http/health.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { arg } from '../../src/task/argument.ts';
import { task } from '../../src/task/definition.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { Tasks } from '../../src/task/tasks.ts';
import { startServer, type TestServer } from '../support/fastify-kit.ts';

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, { operationId: string; requestBody?: unknown }>>>>;
}

const registry = new TaskRegistry();
/** Never started: only what is registered is asked of it. */
const tasks = new Tasks({
  registry,
  connect: () => Promise.reject(new Error('not to be asked for')),
  transactions: undefined as never,
  schema: 'public',
  queue: 'none',
  logger: silentLogger,
});
const nothing = () => undefined;
registry.add(
  task(
    {
      name: 'addition',
      description: 'Adds',
      args: { x: arg.integer('A value of X'), y: arg.integer('', { default: 1 }) },
    },
    nothing,
  ),
  task(
    { name: 'every', args: { f: arg.float(), s: arg.string(), b: arg.boolean(), l: arg.list(), d: arg.dict() } },
    nothing,
  ),
  task({ name: 'zod', args: z.object({ at: z.iso.date() }) }, nothing),
  task({ name: 'unsaid', args: z.object({ at: z.coerce.date() }) }, nothing),
  task({ name: 'a.b-c_d' }, nothing),
);

const running: TestServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

async function documented(
  guard: GuardOptions = {},
  onRoute: (method: string, url: string) => void = nothing,
): Promise<TestServer> {
  const server = await startServer(
    async (app) => {
      app.addHook('onRoute', ({ method, url }) => {
        for (const one of [method].flat()) onRoute(one, url);
      });
      await app.register(functionServer, { tasks });
      await app.register(functionServer, { tasks, prefix: '/fn' });
      await app.register(functionServer, { tasks, prefix: '/of/:tenant' });
      const everything = { getList: nothing, postList: nothing, putDetail: nothing, deleteDetail: nothing };
      const described = {
        getList: { summary: 'Doubles', query: { foo: { type: 'integer' } } },
        postList: { body: { type: 'object' } },
      };
      await app.register(asyncResource('double', everything, { tasks, docs: described }), { prefix: '/api/v1' });
      await app.register(asyncResource('none', {}, { tasks }), { prefix: '/api/v1' });
      await app.register(health, { tasks });
      await app.register(docs, { title: 'orders', version: '1.2.3' });
    },
    { guard },
  );
  running.push(server);
  return server;
}

it('/openapi.json is a valid OpenAPI 3.1 document, by the official schema', async () => {
  for (const guard of [{}, { token: 'secret' }]) {
    const server = await documented(guard);
    const { json } = await server.request('/openapi.json', { headers: { authorization: 'Bearer secret' } });
    const validator = new Validator();
    expect(await validator.validate(json as never)).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
    expect(json).toMatchObject({ openapi: '3.1.0', info: { title: 'orders', version: '1.2.3' } });
    if (guard.token) expect(json).toMatchObject({ security: [{ bearer: [] }] });
    const broken = { ...(json as object), paths: { 'no slash': {} } };
    expect(await new Validator().validate(broken as never)).toMatchObject({ valid: false });
  }
});

it('says of each function what it takes, and of each resource what it has', async () => {
  const { paths } = (await (await documented()).request('/openapi.json')).json as Document;
  const bodyOf = (path: string) => paths[path]?.post?.requestBody;
  const body = (schema: unknown) => ({ content: { 'application/json': { schema } } });
  expect(bodyOf('/addition')).toEqual(
    body({
      type: 'object',
      properties: { x: { type: 'integer', description: 'A value of X' }, y: { type: 'integer', default: 1 } },
      required: ['x'],
    }),
  );
  expect(bodyOf('/fn/every/keep-connection')).toMatchObject(
    body({
      properties: {
        f: { type: 'number' },
        s: { type: 'string' },
        b: { type: 'boolean' },
        l: { type: 'array' },
        d: { type: 'object' },
      },
    }),
  );
  expect(bodyOf('/zod')).toMatchObject(
    body({ properties: { at: { type: 'string', format: 'date' } }, required: ['at'] }),
  );
  expect(bodyOf('/unsaid')).toMatchObject(body({ type: 'object' }));
  expect(Object.keys(paths['/api/v1/double/'] ?? {})).toEqual(['get', 'post']);
  expect(Object.keys(paths['/api/v1/double/{id}/'] ?? {})).toEqual(['put', 'delete']);
  expect(Object.keys(paths['/api/v1/double/state/{task_id}/'] ?? {})).toEqual(['get', 'delete']);
  expect(paths['/api/v1/none/']).toBeUndefined();
  expect(paths['/health']).toBeDefined();
  expect(paths['/of/{tenant}/addition']?.post).toMatchObject({
    parameters: expect.arrayContaining([{ name: 'tenant', in: 'path', required: true, schema: { type: 'string' } }]),
  });
  const ids = Object.values(paths).flatMap((item) => Object.values(item).map(({ operationId }) => operationId));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.filter((id) => !/^[\w.~-]+$/.test(id))).toEqual([]);
});

it('has what is registered later without another line', async () => {
  const server = await documented();
  const before = (await server.request('/openapi.json')).json as Document;
  expect(before.paths['/later']).toBeUndefined();
  registry.add(task({ name: 'later' }, nothing));
  const after = (await server.request('/openapi.json')).json as Document;
  expect(Object.keys(after.paths['/later'] ?? {})).toEqual(['post']);
});

it("leaves an application's own document of @fastify/swagger one that is valid", async () => {
  const app: FastifyInstance & { swagger?: () => Document & Record<string, unknown> } = fastify();
  // Its declarations would give every Fastify here its methods.
  const swagger = createRequire(import.meta.url)('@fastify/swagger') as FastifyPluginAsync<{ openapi: object }>;
  await app.register(swagger, { openapi: { info: { title: 'own', version: '1.0.0' } } });
  await app.register(asyncResource('double', { getList: nothing }, { tasks }), { prefix: '/api/v1' });
  await app.ready();
  const own = app.swagger?.();
  expect(await new Validator().validate(own ?? {})).toMatchObject({ valid: true });
  expect(Object.keys(own?.paths['/api/v1/double/state/{id}'] ?? {})).toEqual(['get', 'head', 'delete']);
  await app.close();
});

it('is shown at /docs/api by files of this server alone, and no page may ask another', async () => {
  const server = await documented();
  const page = await server.request('/docs/api/');
  expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
  const policy = page.headers.get('content-security-policy') ?? '';
  expect(policy).toMatch(/default-src 'none'.*script-src 'self'.*connect-src 'self'.*frame-ancestors 'none'/);
  expect(policy).not.toMatch(/https?:/);
  const files = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file ?? '');
  expect(files.length).toBeGreaterThan(3);
  for (const file of files) {
    const { status, headers } = await server.request(new URL(file, `${server.url}/docs/api/`).pathname);
    expect([file, status]).toEqual([file, 200]);
    expect(headers.get('content-type')).not.toMatch(/html/);
  }
  const initializer = await server.request('/docs/api/static/swagger-initializer.js');
  expect(initializer.text).toContain('/openapi.json');
  expect(initializer.text).toContain('"validatorUrl":null');
});

it('leads from schemas that refer to themselves to where they are in the document', async () => {
  const server = await documented();
  const tree: z.ZodType = z.lazy(() => z.object({ children: z.array(tree) }));
  registry.add(task({ name: 'tree', args: z.object({ tree }) }, nothing));
  const { json } = await server.request('/openapi.json');
  const references = [...JSON.stringify((json as Document).paths['/tree']).matchAll(/"\$ref":"#([^"]+)"/g)];
  expect(references.length).toBeGreaterThan(1);
  for (const [, pointer = ''] of references) {
    const found = pointer
      .split('/')
      .slice(1)
      .reduce<unknown>((at, part) => {
        const name = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
        return (at as Record<string, unknown> | undefined)?.[name];
      }, json);
    expect([pointer, found]).toEqual([pointer, expect.objectContaining({ type: 'object' })]);
  }
});

it('is behind the token; a browser may ask for it as a password there, and nowhere else', async () => {
  const server = await documented({ token: 'secret' });
  const basic = { headers: { authorization: `Basic ${Buffer.from('me:secret').toString('base64')}` } };
  for (const path of [
    '/docs',
    '/docs/page.js',
    '/docs/api/',
    '/openapi.json',
    '/asyncapi.json',
    '/docs/api/static/swagger-ui.css',
  ]) {
    const asked = await server.request(path);
    expect([path, asked.status, asked.headers.get('www-authenticate')]).toEqual([path, 401, 'Basic realm="svc-comm"']);
    expect([path, (await server.request(path, basic)).status]).toEqual([path, 200]);
  }
  expect((await server.request('/function/list/data', basic)).status).toBe(401);
  expect((await server.request('/addition', { ...basic, method: 'POST' })).status).toBe(401);
});

it('has no route that a request without the token, or with a foreign Host, gets past, but the health check', async () => {
  const routes: [method: string, path: string][] = [];
  const server = await documented({ token: 'secret' }, (method, url) => routes.push([method, url]));
  expect(routes.length).toBeGreaterThan(100);
  const { port } = new URL(server.url);
  const statusOf = (method: string, path: string, headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      request.on('error', reject);
      request.end();
    });
  const open = new Set<string>();
  for (const [method, route] of routes) {
    const path = route.replaceAll(/:\w+/g, '30049f59-b619-4890-a1eb-d53b245797d1').replace('*', 'x');
    const authorization = 'Bearer secret';
    expect([method, route, await statusOf(method, path, { host: 'evil.example', authorization })]).toEqual([
      method,
      route,
      421,
    ]);
    const status = await statusOf(method, path, { host: 'localhost' });
    if (status === 401) continue;
    expect([method, route, status]).toEqual([method, route, expect.any(Number)]);
    open.add(route);
  }
  expect([...open].sort()).toEqual(['/health', '/health/ready']);
});
