import { queryObjects } from 'node:v8';
import { expect, it, onTestFinished } from 'vitest';
import { createService } from '../../src/assemble.ts';
import { Consumer } from '../../src/consumer/consumer.ts';
import { MessageRouter } from '../../src/router/router.ts';

/** Behind a full garbage collection. */
const consumers = (): number => queryObjects(Consumer, { format: 'count' });

function serviceWithoutServers() {
  const settings = { appId: 'again', brokerUrl: 'amqp://127.0.0.1:1', wait: false, logLevel: 'silent' } as const;
  const service = createService(settings, { messageRouter: new MessageRouter() });
  onTestFinished(() => service.close());
  return service;
}

it('a role that is never started is let go', () => {
  const service = serviceWithoutServers();
  const before = consumers();
  for (let n = 0; n < 20; n += 1) service.consumer();
  // The last may stand on the stack yet.
  expect(consumers() - before).toBeLessThanOrEqual(1);
});

it('a role that is made anew after each start that failed is told of by the last one, and the others are let go', async () => {
  const service = serviceWithoutServers();
  const before = consumers();
  let failures = 0;
  for (let n = 0; n < 20; n += 1) {
    await service
      .consumer()
      .start()
      .catch(() => {
        failures += 1;
      });
  }
  expect(failures).toBe(20);
  expect(await service.prometheusMetrics()).toContain('svc_comm_ready{svc_comm_role="consumer of again"} 0');
  expect(consumers() - before).toBeLessThanOrEqual(2);
});
