import { afterAll, expect, test } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import type { Settings } from '../../src/settings/define.ts';

const services: SvcCommService[] = [];
afterAll(() => Promise.all(services.map((service) => service.close())));

/** One that finds no server: what is refused is refused before any is asked. */
function service(limits: Settings['limits'] = {}): SvcCommService {
  const urls = { brokerUrl: 'amqp://127.0.0.1:1', databaseUrl: 'postgres://127.0.0.1:1/none' };
  const made = createService({ appId: 'orders', ...urls, limits, logLevel: 'silent' });
  services.push(made);
  return made;
}

/** Everything that puts a body together and sends it later. */
const senders = (sender: SvcCommService, body: object): readonly Promise<unknown>[] => [
  sender.publishAggregateEvent({ aggregate: 'order', eventType: 'made', payload: body }),
  sender.publishAggregateEvents([{ aggregate: 'order', eventType: 'made', payload: body }]),
  sender.publishFutureAggregateEvent({ aggregate: 'order', eventType: 'made', payload: body, eventTime: new Date() }),
  sender.sendCommand('orders', body, { transaction: 'ambient' }),
  sender.sendCall('orders', 'make', body),
];
const codes = async (sent: readonly Promise<unknown>[]) =>
  (await Promise.allSettled(sent)).map((one) => (one.status === 'rejected' ? one.reason.code : 'sent'));

const wide = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`k${n}`, n]));
const wanting = Array(5).fill('SVC_COMM_TRANSACTION_REQUIRED');

test('a body that consumers with these settings would not take is refused when it is published', async () => {
  expect(await codes(senders(service(), wide))).toEqual(Array(5).fill('SVC_COMM_UNSERIALISABLE_PAYLOAD'));
  expect(await codes(senders(service({ keys: 11_000 }), wide))).toEqual(wanting);
  const deep = JSON.parse(`{"a":${'['.repeat(70)}${']'.repeat(70)}}`);
  expect(await codes(senders(service(), deep))).toEqual(Array(5).fill('SVC_COMM_UNSERIALISABLE_PAYLOAD'));
  expect(await codes(senders(service({ depth: 100 }), deep))).toEqual(wanting);
});

test('a body over the limit of the settings is refused when it is published, not when it is relayed', async () => {
  const large = { text: 'x'.repeat(2_000) };
  expect(await codes(senders(service({ bodyBytes: 2_000 }), large))).toEqual(
    Array(5).fill('SVC_COMM_MESSAGE_TOO_LARGE'),
  );
  expect(await codes(senders(service({ bodyBytes: 4_000 }), large))).toEqual(wanting);
});
