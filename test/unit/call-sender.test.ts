import { afterAll, expect, test } from 'vitest';
import { createService } from '../../src/assemble.ts';

const service = createService({
  appId: 'orders',
  brokerUrl: 'amqp://127.0.0.1:1',
  databaseUrl: 'postgres://127.0.0.1:1/none',
  logLevel: 'silent',
});
afterAll(() => service.close());

const longest = 'm'.repeat(255 - 'call-response.pricing.'.length);

test('a call whose answer could not be routed is refused, not asked in vain', async () => {
  await expect(service.sendCall('pricing', `${longest}m`, {})).rejects.toMatchObject({
    code: 'SVC_COMM_INVALID_NAME',
    message: expect.stringMatching(
      /^routing key of the answer "call-response\.pricing\.m+…" has 256 bytes, the limit is 255/,
    ),
  });
  // With one that can be, a transaction is what is missing.
  await expect(service.sendCall('pricing', longest, {})).rejects.toMatchObject({
    code: 'SVC_COMM_TRANSACTION_REQUIRED',
  });
});
