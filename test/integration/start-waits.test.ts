import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SvcCommService } from '../../src/assemble.ts';
import type { Settings } from '../../src/settings/define.ts';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

const WAIT_MS = 700;

let kit: ServiceKit;
let broker: TcpProxy;
let database: TcpProxy;
beforeAll(async () => {
  kit = await ServiceKit.open('start_waits');
  await kit.service('migrate').migrate();
  broker = await TcpProxy.to(testBrokerUrl());
  database = await TcpProxy.to(testDatabaseUrl());
});
afterEach(() => {
  broker.heal();
  database.heal();
});
afterAll(async () => {
  await kit.close();
  await broker.close();
  await database.close();
});

interface Started {
  readonly what: string;
  readonly start: (service: SvcCommService) => Promise<unknown>;
}

const ON_DATABASE: readonly Started[] = [
  { what: 'tasks', start: (service) => service.tasks() },
  { what: 'processes', start: (service) => service.processes() },
  { what: 'migrate', start: (service) => service.migrate() },
  { what: 'dead letters', start: (service) => service.deadLetters() },
  { what: 'relay', start: (service) => service.relay().start() },
];
const ON_BROKER: readonly Started[] = [
  { what: 'dead letters', start: (service) => service.deadLetters() },
  { what: 'relay', start: (service) => service.relay().start() },
  { what: 'consumer', start: (service) => service.consumer().start() },
];

describe("with the setting wait: '700ms' a start tries for so long, and then says what there is against it", () => {
  const settings = (): Settings => ({
    brokerUrl: broker.url(testBrokerUrl()),
    databaseUrl: database.url(testDatabaseUrl()),
    wait: `${WAIT_MS}ms`,
    connectTimeout: '300ms',
  });
  const refusal = async (code: string, start: Promise<unknown>) => {
    const began = performance.now();
    await expect(start).rejects.toMatchObject({ code });
    expect(performance.now() - began).toBeGreaterThanOrEqual(WAIT_MS);
  };

  it.each(ON_DATABASE)('$what, of a database that refuses connections', async ({ what, start }) => {
    database.refuse();
    await refusal('SVC_COMM_DATABASE_UNAVAILABLE', start(kit.service(`refused ${what}`, settings())));
  });

  it.each(ON_DATABASE)('$what, of a database that says nothing', async ({ what, start }) => {
    database.fallSilent();
    await refusal('SVC_COMM_DATABASE_UNAVAILABLE', start(kit.service(`silent ${what}`, settings())));
  });

  it.each(ON_BROKER)('$what, of a broker that is down', async ({ what, start }) => {
    broker.refuse();
    await refusal('SVC_COMM_BROKER_UNAVAILABLE', start(kit.service(`broker ${what}`, settings())));
  });

  it('a server that comes back meanwhile is no reason to fail', async () => {
    database.refuse();
    const service = kit.service('back', { ...settings(), wait: '60s' });
    const tasks = service.tasks();
    await kit.log.seen('waiting for the database');
    database.heal();
    expect(await (await tasks).list()).toEqual([]);
  });
});
