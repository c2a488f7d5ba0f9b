import { expect, test } from 'vitest';
import { z } from 'zod';
import { command, createService, event, MessageRouter } from '../../src/index.ts';
import { createRestClient } from '../../src/rest-api-door.ts';
import { testService } from '../../src/testing-door.ts';

const missing = null as never;
const service = () => createService({ appId: 'javascript', brokerUrl: 'amqp://127.0.0.1:1' });

test.each<[string, () => unknown]>([
  ['watch()', () => service().watch(missing)],
  ['event(…, null)', () => event('a', 'b', z.object({}), missing)],
  ['command(…, null)', () => command('a', 'b', z.object({}), missing)],
  ['messageRouter.use(null)', () => new MessageRouter().use(missing)],
  ['createRestClient(null)', () => createRestClient(missing)],
  ['get(path, null)', () => createRestClient({ host: 'http://127.0.0.1:1' }).get('/', missing)],
  ['testService(null)', () => testService(missing)],
  ['testService({ messageRouter: {} })', () => testService({ messageRouter: {} as never })],
])('%s names what is wrong with it', async (_, call) => {
  await expect((async () => call())()).rejects.toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT' });
});
