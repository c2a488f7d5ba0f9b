import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { asyncResource } from '../../src/http/async-resource/async-resource.ts';
import { docs } from '../../src/http/docs/docs.ts';
import { functionServer } from '../../src/http/function-server/function-server.ts';
import { processApi } from '../../src/http/process-api/process-api.ts';
import type { Processes } from '../../src/process/processes.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';
import { task } from '../../src/task/definition.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import type { Tasks } from '../../src/task/tasks.ts';
import { json, startServer, type TestServer } from '../support/fastify-kit.ts';

const ID = '30049f59-b619-4890-a1eb-d53b245797d1';

const registry = new TaskRegistry();
registry.add(task({ name: 'addition' }, () => undefined));
/** What is asked of the clients when a start is answered, and no more. */
const tasks = {
  registry,
  definitions: registry.definitions,
  find: async () => ({ id: ID, name: 'addition', state: 'STARTED', submitter: '' }),
} as unknown as Tasks;
const processes = {
  registry: new ProcessRegistry(),
  create: async () => ({ instance: { id: ID, process: 'hello', state: 'Running', tasks: [] }, wasKnown: false }),
} as unknown as Processes;

const running: TestServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

async function serving(register: (app: FastifyInstance) => unknown): Promise<TestServer> {
  const server = await startServer(async (app) => {
    await register(app);
    await app.register(docs, { tasks: registry, prefix: '/about/' });
  });
  running.push(server);
  return server;
}

const pathsOf = async (server: TestServer): Promise<string[]> =>
  Object.keys(((await server.request('/about/openapi.json')).json as { paths: object }).paths);

/** The prefix, where a request finds it, and what stands there in an OpenAPI document. */
const PREFIXES = [
  ['/', '/', '/'],
  ['/api/v1', '/api/v1/', '/api/v1/'],
  ['/api/v1/', '/api/v1/', '/api/v1/'],
  ['/of/:tenant/', '/of/a%20b/', '/of/{tenant}/'],
] as const;

describe.each(PREFIXES)('under the prefix %j every address is one that is there:', (prefix, at, documented) => {
  it("a resource's", async () => {
    const double = asyncResource('double', { getList: () => ({ id: ID }) }, { tasks });
    const server = await serving((app) => app.register(double, { prefix }));
    const { status, headers } = await server.request(`${at}double/`);
    expect([status, headers.get('location')]).toEqual([202, `${at}double/state/${ID}/`]);
    const state = await server.request(headers.get('location') ?? '');
    expect(state).toMatchObject({ status: 200, json: { resource_uri: `${at}double/state/${ID}/` } });
    expect(await pathsOf(server)).toContain(`${documented}double/`);
  });

  it("a process's", async () => {
    const server = await serving((app) => app.register(processApi, { processes, prefix }));
    const { status, headers } = await server.request(`${at}hello`, json({}));
    expect([status, headers.get('location')]).toEqual([201, `${at}hello/${ID}`]);
    expect(await pathsOf(server)).toEqual([documented]);
  });

  it('those that the function server lists, and the page tells of', async () => {
    const server = await serving((app) => app.register(functionServer, { tasks, prefix }));
    const paths = (await server.request(at)).text.trim().split('\n');
    const start = prefix.endsWith('/') ? prefix : `${prefix}/`;
    expect(paths).toContain(`${start}function/list/data`);
    expect(paths.filter((path) => !path.startsWith(start) || path.includes('//'))).toEqual([]);
    expect((await server.request(`${at}function/list/data`)).status).toBe(200);
    expect((await server.request(`${at}function/list/text`)).text).toContain(`async api: ${start}addition\n`);
    expect(await pathsOf(server)).toContain(`${documented}addition/keep-connection`);
    expect((await server.request('/about/docs')).text).toContain(`<code>${start}addition</code>`);
  });
});

it('the page, its parts and its documents lead to each other under a prefix with a slash at its end', async () => {
  const server = await serving(() => undefined);
  const page = await server.request('/about/docs');
  const links = [...page.text.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, link = '']) => link);
  expect(links).toEqual(expect.arrayContaining(['/about/docs/page.css', '/about/openapi.json', '/about/docs/api']));
  for (const link of links) expect([link, (await server.request(link)).status]).toEqual([link, 200]);
  const reference = await server.request('/about/docs/api/static/swagger-initializer.js');
  expect(reference.text).toContain('"/about/openapi.json"');
});
