import { afterAll, expect, test } from 'vitest';
import { createService } from '../../src/assemble.ts';

const service = createService({ appId: 'orders', brokerUrl: 'amqp://127.0.0.1:1', logLevel: 'silent' });
afterAll(() => service.close());

test.each([1e15, '99999999d', Number.MAX_VALUE] as const)(
  'a timeout of %s is refused for being too long',
  async (timeout) => {
    const refusal = { code: 'SVC_COMM_INVALID_ARGUMENT', argument: 'timeout' };
    const text = expect.stringContaining("a duration of at most '36500d'");
    for (const ask of [
      () => service.call('pricing', 'quote', {}, { timeout }),
      () => service.sendCall('pricing', 'quote', {}, { timeout }),
      () => service.sendCommand('sms', {}, { timeout }),
    ]) {
      await expect(ask()).rejects.toMatchObject({ ...refusal, message: text });
    }
  },
);
