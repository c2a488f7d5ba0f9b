import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { EmbeddedBroker } from '../../src/embedded/broker/embedded-broker.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

let kit: ServiceKit;
beforeAll(async () => {
  kit = await ServiceKit.open('doctor_broker');
});
afterAll(() => kit.close());

/** The method of a frame: class queue, declare (AMQP 0-9-1 section 1.7.2.1). */
const QUEUE_DECLARE = Buffer.from([0, 50, 0, 10]);

it('doctor has what it found until the broker went away, and all else, with one problem for the broker', async () => {
  const proxy = await TcpProxy.to(testBrokerUrl());
  onTestFinished(() => proxy.close());
  const service = kit.service('cut', { brokerUrl: proxy.url(testBrokerUrl()) });
  service.messageRouter.consumer(service.settings.appId)(async () => undefined);
  await service.migrate();
  proxy.filterToServer = (cut) => (bytes) => {
    if (!bytes.includes(QUEUE_DECLARE)) return bytes;
    proxy.refuse();
    cut();
    return Buffer.alloc(0);
  };
  const findings = await service.examine();
  const ofBroker = findings.filter(({ area }) => area === 'broker').map(({ status, code }) => code ?? status);
  expect(ofBroker).toEqual(['ok', 'broker-unreachable']);
  expect(new Set(findings.map(({ area }) => area))).toEqual(
    new Set(['settings', 'broker', 'database', 'tables', 'outbox', 'tasks']),
  );
  expect(proxy.connections).toBe(0);
});

it.each([
  ['svc@corp', 'c4n4ry'],
  ['svc', 'my c4n4ry'],
  ['svc', 'a"c4n4ry'],
])('doctor names a broker without the password: user %s, password %s', async (user, password) => {
  const broker = new EmbeddedBroker({ users: { [user]: password } });
  await broker.start();
  onTestFinished(() => broker.stop());
  const brokerUrl = `amqp://${user}:${password}@127.0.0.1:${broker.port}`;
  const findings = await kit.service('named', { brokerUrl }).examine();
  const texts = findings.filter(({ area }) => area === 'broker').map(({ text }) => text);
  expect(texts[0]).toMatch(/^RabbitMQ .* at amqp:\/\/svc(%40corp)?:\*\*\*@127\.0\.0\.1/);
  expect(JSON.stringify(findings)).not.toContain('c4n4ry');
});
