import { inspect } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { BrokerConnection, type BrokerConnectionOptions } from '../../src/broker/connection.ts';
import { LogLines } from '../support/broker-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { stressService } from '../support/start-stop-stress.ts';
import { blockedFrame, TcpProxy } from '../support/tcp-proxy.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function proxied(): Promise<{ proxy: TcpProxy; url: string }> {
  const proxy = await TcpProxy.to(testBrokerUrl());
  cleanups.push(() => proxy.close());
  return { proxy, url: proxy.url(testBrokerUrl()) };
}

function connection(options: Partial<BrokerConnectionOptions> & { url: string | readonly string[] }): BrokerConnection {
  const made = new BrokerConnection({ name: 'test', backoff: { initialMs: 20, maxMs: 200 }, ...options });
  cleanups.push(() => made.stop());
  return made;
}

const forever = () => new AbortController().signal;
const next = (made: BrokerConnection, event: 'opened' | 'lost' | 'blocked' | 'unblocked') =>
  new Promise<void>((resolve) => {
    const end = made.listen({
      [event]: () => {
        end();
        resolve();
      },
    });
  });

test('start resolves when the connection is open, and tells the version of the broker', async () => {
  const made = connection({ url: testBrokerUrl() });
  await made.start();
  expect(made.connectionState).toBe('open');
  expect(made.serverVersion).toMatch(/^\d+\.\d+/);
  await made.stop();
  expect(made.connectionState).toBe('idle');
  expect(made.current).toBeUndefined();
});

test('a lost connection comes back on the other node, with a new epoch, and tells of both', async () => {
  const [a, b] = [await proxied(), await proxied()];
  const made = connection({ url: [a.url, b.url] });
  await made.start();
  expect(a.proxy.connections).toBe(1);
  const events: string[] = [];
  made.listen({ opened: ({ epoch }) => events.push(`opened ${epoch}`), lost: () => events.push('lost') });
  a.proxy.refuse();
  const lost = next(made, 'lost');
  a.proxy.cut();
  await lost;
  const open = await made.whenOpen(forever());
  expect(open.epoch).toBe(2);
  expect(b.proxy.connections).toBe(1);
  expect(events).toEqual(['lost', 'opened 2']);
  expect(made.stats.reconnects).toBe(1);
});

test('a wrong password fails the start at once, and no text shows it', async () => {
  const url = testBrokerUrl().replace(/:[^:@/]*@/, ':hunter2@');
  const log = new LogLines();
  const made = connection({ url, logger: log });
  const error = await made.start().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'SVC_COMM_BROKER_ACCESS_REFUSED' });
  expect(String(error)).toContain('Login was refused');
  expect(inspect([error, log.lines, made], { depth: 9, showHidden: true })).not.toContain('hunter2');
  expect(made.stats.failures).toBe(1);
  expect(made.connectionState).toBe('idle');
});

test('a connection that was open keeps trying when a node refuses it, and says so: credentials may be rotating', async () => {
  const { proxy, url } = await proxied();
  const log = new LogLines();
  const made = connection({ url: [url, testBrokerUrl().replace(/:[^:@/]*@/, ':hunter2@')], logger: log });
  await made.start();
  proxy.refuse();
  proxy.cut();
  await log.seen('the broker refuses us now');
  expect(made.state).toBe('running');
  proxy.heal();
  expect((await made.whenOpen(forever())).epoch).toBe(2);
  expect(inspect(log.lines)).not.toContain('hunter2');
});

test('a virtual host that does not exist fails the start at once, and names it', async () => {
  const made = connection({ url: `${testBrokerUrl()}/no-such-vhost` });
  await expect(made.start()).rejects.toThrow(/virtual host "no-such-vhost"/);
});

test('with wait: false a broker that is down fails the start after one round over the nodes', async () => {
  const [a, b] = [await proxied(), await proxied()];
  a.proxy.refuse();
  b.proxy.refuse();
  const made = connection({ url: [a.url, b.url], wait: false });
  await expect(made.start()).rejects.toMatchObject({
    code: 'SVC_COMM_BROKER_UNAVAILABLE',
    urls: [expect.stringContaining('***'), expect.stringContaining('***')],
  });
  expect([a.proxy.accepted, b.proxy.accepted]).toEqual([1, 1]);
});

test('with wait: true the start waits for a broker that is down, says so, and is open when it is there', async () => {
  const { proxy, url } = await proxied();
  proxy.refuse();
  const log = new LogLines();
  const made = connection({ url, logger: log });
  const started = made.start();
  await log.seen('waiting for the broker');
  expect(made.state).toBe('starting');
  proxy.heal();
  await started;
  expect(made.connectionState).toBe('open');
});

test('a failure that comes again and again is logged once in a while, and anew once it has been open', async () => {
  const { proxy, url } = await proxied();
  proxy.refuse();
  const log = new LogLines();
  const made = connection({ url, logger: log, backoff: { initialMs: 2, maxMs: 2 } });
  const started = made.start();
  const told = () => log.count('waiting for the broker');
  await expect.poll(() => made.stats.failures).toBeGreaterThan(20);
  expect(told()).toBe(1);
  proxy.heal();
  await started;
  proxy.refuse();
  proxy.cut();
  await expect.poll(told).toBe(2);
});

test('a node that accepts and says nothing is given up in time, and the next one is taken', async () => {
  const [silent, well] = [await proxied(), await proxied()];
  silent.proxy.fallSilent();
  const made = connection({ url: [silent.url, well.url], connectTimeoutMs: 150 });
  await made.start();
  expect(well.proxy.connections).toBe(1);
  expect(silent.proxy.accepted).toBe(1);
});

test('a stop while the start waits for a silent node ends it at once, and leaves no socket', async () => {
  const { proxy, url } = await proxied();
  proxy.fallSilent();
  const made = connection({ url });
  const started = made.start().catch((error: unknown) => error);
  while (proxy.accepted === 0) await new Promise((resolve) => setImmediate(resolve));
  await made.stop();
  expect(await started).toMatchObject({ code: 'SVC_COMM_START_ABORTED' });
  expect(made.connectionState).toBe('idle');
});

test('a peer that falls silent does not hold back the stop for longer than the close timeout', async () => {
  const { proxy, url } = await proxied();
  const made = connection({ url, closeTimeoutMs: 100 });
  await made.start();
  proxy.fallSilent();
  const before = performance.now();
  await made.stop();
  expect(performance.now() - before).toBeLessThan(2_000);
  expect(made.connectionState).toBe('idle');
});

test('missed heartbeats are a loss, and the connection is made anew', async () => {
  const { proxy, url } = await proxied();
  const made = connection({ url: `${url}?heartbeat=1`, connectTimeoutMs: 500 });
  await made.start();
  proxy.fallSilent();
  await next(made, 'lost');
  proxy.heal();
  expect((await made.whenOpen(forever())).epoch).toBe(2);
});

test('a broker that blocks publishers is noticed, and so is its end', async () => {
  const { proxy, url } = await proxied();
  const made = connection({ url });
  await made.start();
  const blocked = next(made, 'blocked');
  proxy.injectToClient(blockedFrame('low on memory'));
  await blocked;
  expect(made.blockedReason).toBe('low on memory');
  const unblocked = next(made, 'unblocked');
  proxy.injectToClient(blockedFrame(undefined));
  await unblocked;
  expect(made.blockedReason).toBeUndefined();
});

test('twenty losses in a row leave no socket, no listener and one connection behind', async () => {
  const { proxy, url } = await proxied();
  const made = connection({ url });
  await made.start();
  for (let round = 0; round < 20; round++) {
    const lost = next(made, 'lost');
    proxy.cut();
    await lost;
    await made.whenOpen(forever());
  }
  expect(proxy.connections).toBe(1);
  expect(made.stats.reconnects).toBe(20);
});

test('start and stop may cross in any way', async () => {
  await stressService(() => connection({ url: testBrokerUrl() }));
});
