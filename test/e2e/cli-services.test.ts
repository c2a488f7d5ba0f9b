import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ServicesOverview } from '../../src/discovery/overview.ts';
import type { ServiceView } from '../../src/discovery/service-view.ts';
import { bin, CliProject, type Running } from '../support/cli-project.ts';
import { eventually } from '../support/eventually.ts';
import { request } from '../support/fastify-kit.ts';

const CONSUMERS = `
import { eventConsumer, event, messageRouter } from 'svc-comm';

const schema = { '~standard': { version: 1, vendor: 'own', validate: (value) => ({ value }) } };
const jsonSchema = { type: 'object', properties: { id: { type: 'number' } } };
const placed = event('EXCHANGE', 'create.base', schema, { description: 'An order was placed', jsonSchema });
event('EXCHANGE', 'cancelled', schema);

export class OrderConsumers {
  @messageRouter.consumer(placed)
  @eventConsumer
  static async onOrder() {}
}
`;
const TASKS = `
import { arg, task } from 'svc-comm/task';
export const addition = task({ name: 'addition', description: 'Adds', args: { x: arg.integer() } }, ({ x }) => x + 1);
`;

const consuming = new CliProject({ 'src/consumers.ts': CONSUMERS });
const PROCESSES = `
- id: hello-world
  meta:
    name: Hello
    description: Greets
    fields:
      - name: foo
        type: char
        required: true
`;
const serving = new CliProject({ 'src/tasks.js': TASKS, 'processes/registry.yml': PROCESSES });
for (const project of [consuming, serving]) {
  project.write('package.json', JSON.stringify({ name: project.name, version: '4.5.6', type: 'module' }));
}
let server: Running;
let base: string;

beforeAll(async () => {
  expect((await consuming.cli('migrate')).code).toBe(0);
  expect((await serving.cli('migrate')).code).toBe(0);
  server = serving.start([bin, 'serve', '--port', '0'], { SVC_COMM_HTTP_TOKEN: 'c4n4ry' });
  base = /https?:\/\/[^ "]+/.exec(await server.line('listening on'))?.[0] ?? '';
});
afterAll(async () => {
  await server.stop();
  await Promise.all([consuming.remove(), serving.remove()]);
});

const get = (path: string) => request(base + path, { headers: { authorization: 'Bearer c4n4ry' } });

/** Of this test: others run on the same broker. */
const ours = ({ services }: ServicesOverview): string[] =>
  services.map(({ name }) => name).filter((name) => name === consuming.name || name === serving.name);
const overHttp = async (): Promise<ServicesOverview> => {
  const { status, json } = await get('/services');
  expect(status).toBe(200);
  return json as ServicesOverview;
};
const overCli = async (): Promise<ServicesOverview> => {
  const { code, stdout } = await serving.cli('services', '--json');
  expect(code).toBe(0);
  return JSON.parse(stdout);
};
const consumer = async (): Promise<Running> => {
  const running = consuming.startCli('runconsumer');
  await running.line('consuming from queue');
  await eventually('the server has heard of it', async () => ours(await overHttp()).includes(consuming.name));
  return running;
};

describe('two services on real servers', () => {
  it('know each other: version, roles, tasks, what is consumed with its schema, and what nobody consumes', async () => {
    const running = await consumer();
    const seen = await overCli();
    expect(ours(seen)).toEqual([consuming.name, serving.name].sort());
    const { json } = await get(`/services/${consuming.name}`);
    expect(json).toMatchObject({
      versions: ['4.5.6'],
      roles: ['consumer'],
      isHealthy: true,
      consumes: [
        {
          kind: 'event',
          exchange: consuming.exchange,
          routingKey: 'create.base',
          handler: 'OrderConsumers.onOrder',
          description: 'An order was placed',
          schema: { type: 'object', properties: { id: { type: 'number' } } },
        },
      ],
      instances: [{ pid: running.pid }],
    } satisfies Partial<Record<keyof ServiceView, unknown>>);
    expect(seen.services.find(({ name }) => name === serving.name)).toMatchObject({
      roles: ['server'],
      tasks: [{ name: 'addition', description: 'Adds', input: { properties: { x: { type: 'integer' } } } }],
      processes: [{ id: 'hello-world', name: 'Hello', description: 'Greets', input: { required: ['foo'] } }],
    });
    expect(seen.unheard.filter(({ exchange }) => exchange === consuming.exchange)).toMatchObject([
      { kind: 'event', routingKey: 'cancelled', services: [consuming.name] },
    ]);
    const shown = await serving.cli('services', 'show', consuming.name);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/create\.base +OrderConsumers\.onOrder +An order was placed/);
    expect(shown.stdout).toMatch(/cancelled +not yet sent +nobody consumes/);
    expect((await serving.cli('services')).stdout).toMatch(
      new RegExp(`${consuming.name} +4\\.5\\.6 +1 +consumer +well`),
    );
    expect(await running.stop()).toBe(0);
  });

  it('are without one that ends by SIGTERM at once', async () => {
    const running = await consumer();
    const beganAt = performance.now();
    expect(await running.stop()).toBe(0);
    await eventually('the server is without it', async () => !ours(await overHttp()).includes(consuming.name));
    expect(performance.now() - beganAt).toBeLessThan(10_000);
    expect(ours(await overCli())).toEqual([serving.name]);
  });

  it('are without one that was killed with -9: who asks at once, and who has listened within 30 s', async () => {
    const running = await consumer();
    running.child.kill('SIGKILL');
    const killedAt = performance.now();
    await running.exit;
    expect(ours(await overCli())).toEqual([serving.name]);
    const askedMs = performance.now() - killedAt;
    expect(ours(await overHttp())).toContain(consuming.name);
    await eventually('the server is without it', async () => !ours(await overHttp()).includes(consuming.name));
    const listenedMs = performance.now() - killedAt;
    process.stdout.write(
      `killed with -9: svc-comm services right after ${Math.round(askedMs)} ms, GET /services after ${Math.round(listenedMs)} ms\n`,
    );
    expect(listenedMs).toBeLessThan(30_000);
  });
});

describe('services', () => {
  it('of an unknown name, without a broker and with discovery off say so', async () => {
    const unknown = await serving.cli('services', 'show', 'nobody.at.all', '--json');
    expect([unknown.code, JSON.parse(unknown.stdout).error.code]).toEqual([1, 'SVC_COMM_UNKNOWN_SERVICE']);
    const off = await serving.run([bin, 'services', '--json'], { SVC_COMM_DECLARE: 'none' });
    expect([off.code, JSON.parse(off.stdout).error.code]).toEqual([1, 'SVC_COMM_DISCOVERY_UNAVAILABLE']);
    const down = await serving.run([bin, 'services', '--json'], { SVC_COMM_BROKER_URL: 'amqp://127.0.0.1:1' });
    expect([down.code, JSON.parse(down.stdout).error.code]).toEqual([1, 'SVC_COMM_BROKER_UNAVAILABLE']);
    const wrong = await serving.run([bin, 'services'], { SVC_COMM_DISCOVERY_HEARTBEAT: '5m' });
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('discovery.heartbeat')]);
    expect((await serving.cli('services', 'shwo')).code).toBe(2);
  });

  it('over HTTP answer who is let in only, 404 for a name that is not there, and are in the documentation', async () => {
    expect((await get('/services/nobody')).status).toBe(404);
    for (const path of ['/services', `/services/${serving.name}`]) {
      expect((await request(base + path)).status).toBe(401);
    }
    const { json } = await get('/openapi.json');
    expect(json).toMatchObject({ paths: { '/services': {}, '/services/{name}': {} } });
  });
});
