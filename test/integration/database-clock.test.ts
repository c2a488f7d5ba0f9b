import { afterEach, expect, it, vi } from 'vitest';
import { Assembly } from '../../src/assembly/assembly.ts';
import { DatabaseClock } from '../../src/database/database-clock.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { MessageRouter } from '../../src/router/router.ts';
import type { Settings } from '../../src/settings/define.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import { until } from '../support/consumer-kit.ts';
import { testDatabaseUrl, uniqueName } from '../support/servers.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const end of ends.splice(0)) await end();
});

function sender(settings: Settings) {
  const resolved = resolveSettings({ appId: uniqueName('clock'), ...settings });
  const assembly = new Assembly(resolved, { logger: silentLogger, messageRouter: new MessageRouter() });
  ends.unshift(() => assembly.stop());
  const clock = assembly.clock();
  if (!(clock instanceof DatabaseClock)) throw new Error('it has no database');
  return { assembly, clock };
}

const now = performance.now.bind(performance);
/** As on a monotonic clock by which so much time has gone by beside that of the test. */
const later = (ms: number) => vi.spyOn(performance, 'now').mockImplementation(() => now() + ms);

async function proxied() {
  const proxy = await TcpProxy.to(testDatabaseUrl());
  ends.push(() => proxy.close());
  return { proxy, databaseUrl: proxy.url(testDatabaseUrl()) };
}

it('who sends deadlines measures the time of a database that was down at the first of them once it is back, asking once a minute and holding up nobody', async () => {
  const { proxy, databaseUrl } = await proxied();
  await proxy.goDown();
  const { assembly, clock } = sender({ databaseUrl, wait: false });
  await assembly.clockKnown();
  await proxy.listen();
  await assembly.clockKnown();
  expect(assembly.pool().state).toBe('idle');
  later(60_000);
  await proxy.goDown();
  await assembly.clockKnown();
  expect(assembly.pool().state).toBe('starting');
  await until(() => assembly.pool().state === 'idle');
  await proxy.listen();
  later(120_000);
  await assembly.clockKnown();
  await until(() => clock.offsetMs !== undefined);
});

it('who sends deadlines asks no database after its stop', async () => {
  const { proxy, databaseUrl } = await proxied();
  await proxy.goDown();
  const { assembly } = sender({ databaseUrl, wait: false });
  await assembly.clockKnown();
  await assembly.stop();
  await proxy.listen();
  later(60_000);
  await assembly.clockKnown();
  expect(assembly.pool().state).toBe('idle');
});
