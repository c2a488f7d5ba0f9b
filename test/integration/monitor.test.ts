import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { SvcCommService } from '../../src/assemble.ts';
import { projectServer } from '../../src/cli/project-server.ts';
import { ListenError } from '../../src/errors.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import type { Settings } from '../../src/settings/define.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { deferred } from '../../src/util/deferred.ts';
import { LogLines } from '../support/broker-kit.ts';
import { eventually } from '../support/eventually.ts';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: ServiceKit;

beforeAll(async () => {
  kit = await ServiceKit.open('monitor');
});
afterAll(async () => {
  await kit.close();
});

/** A service that is watched, with a consumer of `exchange` that handles `good` and fails `bad` for ever. */
async function watched(suffix: string, settings: Settings = {}) {
  const service = kit.service(suffix, { retry: { attempts: 1 }, ...settings });
  const exchange = service.settings.appId;
  service.messageRouter.consumer(exchange, 'good')(eventConsumer(async () => undefined));
  service.messageRouter.consumer(
    exchange,
    'bad',
  )(
    eventConsumer(async () => {
      throw new RangeError('bad');
    }),
  );
  const monitor = service.monitor({ port: 0 });
  await monitor.start();
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`${monitor.url}${path}`, { method });
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  };
  return { service, exchange, monitor, get, metrics: async () => metricsIn((await get('/metrics')).text) };
}

const publish = (service: SvcCommService, ...eventTypes: string[]) =>
  service.transaction(() =>
    service.publishAggregateEvents(
      eventTypes.map((eventType) => ({ aggregate: service.settings.appId, eventType, payload: 1 })),
    ),
  );

/** Values by name and labels, of a text in Prometheus' format. @throws for a line that is not of it */
function metricsIn(text: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || /^# (HELP|TYPE) [a-zA-Z_:][\w:]* ./.test(line)) continue;
    const match = /^([a-zA-Z_:][\w:]*(?:\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})?) (\S+)$/.exec(line);
    if (!match?.[1] || !(match[2] === 'Nan' || !Number.isNaN(Number(match[2])) || /^[+-]Inf$/.test(match[2] ?? ''))) {
      throw new Error(`not of Prometheus' format: ${line}`);
    }
    found.set(match[1], Number(match[2]));
  }
  return found;
}

describe('GET /metrics', () => {
  test('tells what became of messages, how long handlers ran, and what waits in queue, dead letters and outbox', async () => {
    const { service, exchange, metrics } = await watched('counts');
    await service.migrate();
    const consumer = service.consumer();
    await consumer.start();
    await service.relay().start();
    await publish(service, 'good', 'good', 'bad');
    await eventually(
      'all are settled',
      async () => consumer.stats.handled === 2 && consumer.stats.deadLettered.attempts === 1,
    );
    await eventually('the outbox is empty', async () => (await service.backlog()).rows === 0);
    await eventually('the broker counts the dead letter', async () => {
      const now = await metrics();
      return now.get(`svc_comm_queue_messages{svc_comm_queue="${exchange}.dead",svc_comm_queue_kind="dead"}`) === 1;
    });
    const now = await metrics();
    const queue = `messaging_consumer_group_name="${exchange}"`;
    expect(Object.fromEntries(now)).toMatchObject({
      [`svc_comm_consumer_received_total{${queue}}`]: 3,
      [`svc_comm_consumer_messages_total{${queue},svc_comm_outcome="handled"}`]: 2,
      [`svc_comm_consumer_dead_letters_total{${queue},svc_comm_dead_letter_reason="attempts"}`]: 1,
      [`svc_comm_consumer_dead_letters_total{${queue},svc_comm_dead_letter_reason="malformed"}`]: 0,
      [`svc_comm_consumer_in_flight{${queue}}`]: 0,
      [`svc_comm_queue_messages{svc_comm_queue="${exchange}",svc_comm_queue_kind="main"}`]: 0,
      'svc_comm_relay_messages_total{svc_comm_outcome="published"}': 3,
      svc_comm_outbox_rows: 0,
      svc_comm_outbox_oldest_age_seconds: 0,
      'svc_comm_ready{svc_comm_role="publisher"}': 1,
    });
    const runs = [...now].filter(([name]) => name.startsWith('messaging_process_duration_seconds_count'));
    const told = runs.map(([name, count]) => [
      /outcome="([\w-]+)"/.exec(name)?.[1],
      /error_type="(\w*)"/.exec(name)?.[1],
      count,
    ]);
    expect(told.toSorted()).toEqual([
      ['dead-letter', 'RangeError', 1],
      ['handled', undefined, 2],
    ]);
    expect(now.get('process_resident_memory_bytes')).toBeGreaterThan(1e6);
    expect([...now.keys()].filter((name) => name.startsWith('nodejs_eventloop_lag'))).not.toEqual([]);
  });

  test('of a worker and of a relay tell how long the task waits that has been due for longest', async () => {
    const { service, metrics } = await watched('waits');
    // The queue that the worker declares.
    kit.exchangeName('waits.tasks');
    await service.migrate();
    const oldest = 'svc_comm_task_oldest_age_seconds';
    const submit = (due: string) =>
      kit.pg.query(`INSERT INTO ${kit.table('svc_comm_task')} (id, name, args, queue, result_ttl_ms, due_at)
        VALUES (gen_random_uuid(), 'unknown', '{}', 'nobody.tasks', 1000, now() + interval '${due}')`);
    onTestFinished(async () => void (await kit.pg.query(`DELETE FROM ${kit.table('svc_comm_task')}`)));
    await submit('1 h');
    for (const role of [service.relay(), service.worker({ files: [] })]) {
      expect((await metrics()).has(oldest)).toBe(false);
      await role.start();
      expect((await metrics()).get(oldest)).toBe(0);
      await submit('-2 h');
      await submit('-1 h');
      expect((await metrics()).get(oldest)).toSatisfy((s: number) => s >= 7200 && s < 7200 + 600);
      await kit.pg.query(`DELETE FROM ${kit.table('svc_comm_task')} WHERE due_at < now()`);
      await role.stop();
    }
  });

  test('of a relay that may not look at tasks tell of the outbox, and the database logs no error', async () => {
    await kit.service('owner').migrate();
    const { role, databaseUrl } = await kit.role();
    await kit.pg.query(`REVOKE ALL ON ${kit.table('svc_comm_task')} FROM ${role}`);
    const proxy = await TcpProxy.to(databaseUrl);
    onTestFinished(() => proxy.close());
    let refused = 0;
    proxy.filterToClient = () => (bytes) => {
      // insufficient_privilege
      if (bytes.includes('C42501')) refused += 1;
      return bytes;
    };
    const { service, metrics } = await watched('without-tasks', { databaseUrl: proxy.url(databaseUrl) });
    await service.relay().start();
    const now = await metrics();
    expect(refused).toBe(0);
    expect(now.get('svc_comm_outbox_rows')).toBe(0);
    expect(now.has('svc_comm_task_oldest_age_seconds')).toBe(false);
  });

  test('says nothing of an outbox that it cannot ask for, rather than a zero', async () => {
    const proxy = await TcpProxy.to(testDatabaseUrl());
    onTestFinished(() => proxy.close());
    const { service, metrics, get } = await watched('unasked', { databaseUrl: proxy.url(testDatabaseUrl()) });
    await service.migrate();
    await service.relay().start();
    expect((await metrics()).get('svc_comm_outbox_rows')).toBe(0);
    proxy.refuse();
    proxy.cut();
    await eventually('the relay has noticed', async () => (await get('/health/ready')).status === 503);
    const now = await metrics();
    expect([...now.keys()].filter((name) => name.startsWith('svc_comm_outbox'))).toEqual([]);
    expect(now.get('svc_comm_ready{svc_comm_role="publisher"}')).toBe(0);
    proxy.heal();
    await eventually('it is asked again', async () => (await metrics()).get('svc_comm_outbox_rows') === 0);
  });

  test('is answered within seconds when the database says nothing at all', async () => {
    const proxy = await TcpProxy.to(testDatabaseUrl());
    onTestFinished(() => proxy.close());
    const { service, metrics } = await watched('silent', {
      databaseUrl: proxy.url(testDatabaseUrl()),
      connectTimeout: 1,
    });
    await service.migrate();
    await service.relay().start();
    proxy.fallSilent();
    onTestFinished(() => proxy.heal());
    const now = await metrics();
    expect(now.has('svc_comm_outbox_rows')).toBe(false);
    expect(now.has('svc_comm_relay_held')).toBe(true);
  });

  test('of a service that was closed asks no server', async () => {
    const proxy = await TcpProxy.to(testDatabaseUrl());
    onTestFinished(() => proxy.close());
    const { service } = await watched('closed', { databaseUrl: proxy.url(testDatabaseUrl()) });
    await service.migrate();
    await service.relay().start();
    expect(metricsIn(await service.prometheusMetrics()).get('svc_comm_outbox_rows')).toBe(0);
    await service.close();
    const before = proxy.accepted;
    const now = metricsIn(await service.prometheusMetrics());
    expect(now.has('svc_comm_outbox_rows')).toBe(false);
    expect(now.get('svc_comm_relay_held')).toBe(0);
    expect(proxy.accepted).toBe(before);
  });

  test('of `prometheusMetrics()` can stand behind those of the project', async () => {
    const { service } = await watched('joined');
    await service.migrate();
    await service.consumer().start();
    const { Counter, Registry } = await import('prom-client');
    const registry = new Registry();
    new Counter({ name: 'orders_total', help: 'Orders', registers: [registry] }).inc();
    const now = metricsIn((await registry.metrics()) + (await service.prometheusMetrics()));
    expect(now.get('orders_total')).toBe(1);
    expect([...now.keys()].some((name) => name.startsWith('svc_comm_consumer_received_total'))).toBe(true);
    expect([...now.keys()].some((name) => name.startsWith('process_'))).toBe(false);
  });
});

test('what a proxy asks by the whole URL is answered as any other', async () => {
  const { monitor } = await watched('proxied');
  const { hostname, port } = new URL(monitor.url ?? '');
  const statusOf = async (target: string) => {
    const asked = request({ hostname, port, path: target }).end();
    const [response] = await once(asked, 'response');
    response.resume();
    return response.statusCode;
  };
  expect(await statusOf(`http://${hostname}:${port}/health?from=proxy`)).toBe(200);
  expect(await statusOf('http://elsewhere/metrics')).toBe(200);
  expect(await statusOf('http://elsewhere')).toBe(404);
});

describe('GET /health/ready', () => {
  test('is 503 with the roles that wait for a server, and 200 once they do their work', async () => {
    const proxy = await TcpProxy.to(testBrokerUrl());
    onTestFinished(() => proxy.close());
    proxy.refuse();
    const { service, exchange, get } = await watched('waits', { brokerUrl: proxy.url(testBrokerUrl()) });
    await service.migrate();
    expect(await get('/health/ready')).toMatchObject({ status: 200, text: '{"status":"ok"}' });
    const starting = service.consumer().start();
    const waiting = await get('/health/ready');
    expect(waiting.status).toBe(503);
    expect(JSON.parse(waiting.text)).toEqual({ status: 'unavailable', waiting: [`consumer of ${exchange}`] });
    expect((await get('/health')).status).toBe(200);
    proxy.heal();
    await starting;
    expect((await get('/health/ready')).status).toBe(200);
    proxy.refuse();
    proxy.cut();
    await eventually('it has noticed', async () => (await get('/health/ready')).status === 503);
    proxy.heal();
    await eventually('it is back', async () => (await get('/health/ready')).status === 200);
  });

  test('is 503 while the server of a project waits for the database, and again from its stop until it is quiet', async () => {
    const proxy = await TcpProxy.to(testDatabaseUrl());
    onTestFinished(() => proxy.close());
    const settings = { databaseUrl: proxy.url(testDatabaseUrl()), http: { port: 0 } };
    const { service, get, metrics } = await watched('served', settings);
    await service.migrate();
    proxy.refuse();
    proxy.cut();
    const [asked, gate, log] = [deferred(), deferred(), new LogLines()];
    // A request that is in flight for as long as the test wants.
    service.prometheusMetrics = async () => {
      asked.resolve();
      await gate.promise;
      return '';
    };
    const registries = { taskRegistry: new TaskRegistry(), processRegistry: new ProcessRegistry() };
    const project = { ...registries, messageRouter: service.messageRouter, taskFiles: [] };
    const server = projectServer(service, { settings: service.settings, project, logger: log });
    const isServing = async () => (await metrics()).get('svc_comm_ready{svc_comm_role="HTTP server"}');
    const unavailable = { status: 503, text: '{"status":"unavailable","waiting":["HTTP server"]}' };
    expect(await isServing()).toBeUndefined();
    const starting = server.start();
    expect(await get('/health/ready')).toMatchObject(unavailable);
    expect(await isServing()).toBe(0);
    proxy.heal();
    await starting;
    expect((await get('/health/ready')).status).toBe(200);
    expect(await isServing()).toBe(1);
    const { text = '' } = log.lines.find((line) => line.text.startsWith('listening on')) ?? {};
    const answer = fetch(`${/http:[^;]+/.exec(text)?.[0]}/metrics`);
    await asked.promise;
    const stopping = server.stop();
    expect(await get('/health/ready')).toMatchObject(unavailable);
    gate.resolve();
    expect((await answer).status).toBe(200);
    await stopping;
    expect(await isServing()).toBeUndefined();
  });
});

describe('the monitor', () => {
  test('answers what it does not know, and methods that it has not, with JSON', async () => {
    const { get } = await watched('strange');
    expect(await get('/')).toMatchObject({ status: 404, type: 'application/json' });
    expect(await get('/metrics?x=1')).toMatchObject({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' });
    expect(await get('/metrics', 'POST')).toMatchObject({ status: 405, type: 'application/json' });
    expect(await get('/health', 'HEAD')).toMatchObject({ status: 200, text: '' });
  });

  test('refuses addresses that are none, and an empty one, which would be every address of the machine', () => {
    const service = kit.service('misled');
    for (const address of [
      { host: '' },
      { host: 5 as never },
      { port: -1 },
      { port: 65_536 },
      { port: '9464' as never },
    ]) {
      expect(() => service.monitor(address)).toThrow(
        expect.objectContaining({ code: 'SVC_COMM_INVALID_ARGUMENT', argument: Object.keys(address)[0] }),
      );
    }
  });

  test('says where it listens so that it can be asked there, also on IPv6', async () => {
    for (const host of ['::1', 'localhost']) {
      const monitor = kit.service(`at-${host.replaceAll(':', '-')}`).monitor({ host, port: 0 });
      await monitor.start();
      expect((await fetch(`${monitor.url}/health`)).status).toBe(200);
    }
  });

  test('on a loopback address answers 421 to a foreign Host', async () => {
    for (const host of ['127.0.0.1', '::1', '0.0.0.0']) {
      const monitor = kit.service(`called-${host.replaceAll(/[.:]/g, '-')}`).monitor({ host, port: 0 });
      await monitor.start();
      const { port } = new URL(monitor.url ?? '');
      const statusOf = async (path: string, name: string) => {
        const at = host === '0.0.0.0' ? '127.0.0.1' : host;
        const asked = request({ host: at, port, path, headers: { host: name } }).end();
        const [response] = await once(asked, 'response');
        response.resume();
        return [name, response.statusCode];
      };
      const isOpen = host === '0.0.0.0';
      for (const name of ['rebound.example', `rebound.example:${port}`, 'localhost.example']) {
        for (const path of ['/metrics', '/health', '/health/ready']) {
          expect(await statusOf(path, name)).toEqual([name, isOpen ? 200 : 421]);
        }
      }
      for (const name of ['localhost', `LOCALHOST:${port}`, `127.0.0.1:${port}`, '[::1]']) {
        expect(await statusOf('/metrics', name)).toEqual([name, 200]);
      }
      // A probe of HTTP/1.0 names none, as no browser does.
      const probe = connect(Number(port), host === '0.0.0.0' ? '127.0.0.1' : host);
      probe.end('GET /health HTTP/1.0\r\n\r\n');
      expect(String(await probe.toArray().then(Buffer.concat))).toMatch(/^HTTP\/1\.1 200 /);
    }
  });

  test('that cannot listen where it is told to says why, and which setting names it', async () => {
    const other: Server = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as AddressInfo;
    const starting = kit.service('taken').monitor({ port }).start();
    await expect(starting).rejects.toThrow(ListenError);
    await expect(starting).rejects.toMatchObject({ code: 'SVC_COMM_LISTEN', settings: 'monitor', port });
    await expect(starting).rejects.toThrow(/another process has the port.*monitor\.port/);
    const nowhere = kit.service('nowhere').monitor({ host: '192.0.2.1', port: 0 }).start();
    await expect(nowhere).rejects.toThrow(/192\.0\.2\.1.*monitor\.host/);
  });

  test('lets go of a client that does not get its request out', async () => {
    const { monitor } = await watched('slow');
    const { hostname, port } = new URL(monitor.url ?? '');
    const beganMs = performance.now();
    const socket = connect({ host: hostname, port: Number(port) });
    onTestFinished(() => void socket.destroy());
    socket.write('GET /health HTTP/1.1\r\nhost: ');
    socket.resume();
    await once(socket, 'close');
    // Node looks every 30 s if it is not told otherwise.
    expect(performance.now() - beganMs).toBeLessThan(20_000);
  });

  test('stops with the service, also while somebody is connected', async () => {
    const { service, monitor, get } = await watched('stops');
    await get('/health');
    const { url } = monitor;
    await service.close();
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });
});
