// The consumer of a service as 'svc-comm runconsumer' has it: inbox on, 20 messages handled at once.
import { createService, eventConsumer } from '../../dist/src/index.js';
import { told } from './side.mjs';

const { brokerUrl, databaseUrl, schema, queue, prefetch, effect, isHolding, exchange } = told();
const service = createService({ appId: 'bench', brokerUrl, databaseUrl, schema, queue, prefetch, logLevel: 'error' });
const onEvent = eventConsumer(async ({ total }, { eventId }, { transaction }) => {
  if (isHolding) return new Promise(() => undefined);
  await transaction.raw(`INSERT INTO ${effect} VALUES (?, ?)`, [eventId, total]);
});
service.messageRouter.consumer(exchange, 'create.*')(onEvent);
await service.consumer().start();
process.send('ready');
