import { CallTimeoutError, callable, callConsumer, callResponseConsumer, createService, RemoteError } from 'svc-comm';
import { z } from 'zod';

// Two services in one process, to be read in one piece; each would be a project of its own, with these as its settings.
const brokerUrl = process.env.SVC_COMM_BROKER_URL ?? 'embedded:memory';
const databaseUrl = process.env.SVC_COMM_DATABASE_URL ?? 'embedded:memory';
const orders = createService({
  appId: 'lesson03-orders',
  brokerUrl,
  databaseUrl,
  schema: 'lesson03',
  logLevel: 'error',
});
const pricing = createService({ appId: 'lesson03-pricing', brokerUrl, logLevel: 'silent' });
await orders.migrate();

const PRICES = new Map([
  ['apple', 120],
  ['pear', 150],
]);
const service = 'lesson03-pricing';

// What it throws is the answer too: code and text travel, the stack does not.
pricing.messageRouter.consumer(
  service,
  'quote',
)(
  callConsumer(async ({ sku }: { sku: string }) => {
    const price = PRICES.get(sku);
    if (price === undefined) throw Object.assign(new Error(`we have no ${sku}`), { code: 'NO_SUCH_ARTICLE' });
    return { sku, price };
  }),
);
// A handler that does not end: whoever asks has a deadline.
pricing.messageRouter.consumer(
  service,
  'ponder',
)(callConsumer((_data, _call, { signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve))));
// The same with a contract: typed, and held to its schemas on both sides.
const total = callable(service, 'total', { input: z.object({ skus: z.array(z.string()) }), output: z.number() });
pricing.messageRouter.consumer(total)(async ({ skus }) => skus.reduce((sum, sku) => sum + (PRICES.get(sku) ?? 0), 0));
await pricing.consumer().start();

// A promise.
console.log(await orders.call(service, 'quote', { sku: 'apple' }, { timeout: 5 }));
console.log('by contract:', await orders.call(total, { skus: ['apple', 'pear'] }, { timeout: 5 }));
try {
  await orders.call(service, 'quote', { sku: 'lychee' }, { timeout: 5 });
} catch (error) {
  if (!(error instanceof RemoteError)) throw error;
  console.log(error.remoteCode, error.message);
}
try {
  await orders.call(service, 'ponder', {}, { timeout: '300ms' });
} catch (error) {
  if (!(error instanceof CallTimeoutError)) throw error;
  console.log(error.code, error.timeoutMs);
}

// By message: asked with the commit, answered to our exchange, also when we are another process by then.
const answered = new Promise<void>((resolve) => {
  orders.messageRouter.consumer(
    'lesson03-orders',
    `call-response.${service}.quote`,
  )(
    callResponseConsumer(async (quote: { price: number }, { callId }) => {
      console.log('answered by message:', quote.price, callId === asked);
      resolve();
    }),
  );
});
await Promise.all([orders.consumer().start(), orders.relay().start()]);
const asked = await orders.transaction((transaction) =>
  orders.sendCall(service, 'quote', { sku: 'pear' }, { replyTo: 'lesson03-orders', timeout: 30, transaction }),
);
await answered;

await Promise.all([orders.close(), pricing.close()]);
