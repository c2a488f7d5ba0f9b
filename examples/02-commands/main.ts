import { setTimeout as pause } from 'node:timers/promises';
import { commandConsumer, createService, UnroutableError } from 'svc-comm';

// Two services in one process, to be read in one piece; each would be a project of its own, with these as its settings.
const brokerUrl = process.env.SVC_COMM_BROKER_URL ?? 'embedded:memory';
const databaseUrl = process.env.SVC_COMM_DATABASE_URL ?? 'embedded:memory';
const orders = createService({
  appId: 'lesson02-orders',
  brokerUrl,
  databaseUrl,
  schema: 'lesson02',
  logLevel: 'error',
});
const sms = createService({ appId: 'lesson02-sms', brokerUrl, logLevel: 'error' });
await orders.migrate();

interface Sms {
  readonly phone: string;
  readonly text: string;
}

let handled = () => {};
sms.messageRouter.consumer(
  'lesson02-sms',
  'send',
)(
  commandConsumer(async ({ phone, text }: Sms, { deadline }) => {
    console.log(`to ${phone}: ${text} (${deadline ? 'with' : 'without'} a deadline)`);
    handled();
  }),
);
const next = () =>
  new Promise<void>((resolve) => {
    handled = resolve;
  });

// The first start declares the queue; what is sent while the service is down waits there.
const first = sms.consumer();
await first.start();
let seen = next();
await orders.sendCommand('lesson02-sms', { phone: '998990000000', text: 'Hello world!' }, { commandName: 'send' });
await seen;
await first.stop();

await orders.sendCommand('lesson02-sms', { phone: '1', text: 'too late' }, { commandName: 'send', timeout: '500ms' });
await orders.sendCommand('lesson02-sms', { phone: '2', text: 'in time' }, { commandName: 'send', timeout: 30 });
await pause(1_000);
const second = sms.consumer();
seen = next();
await second.start();
await seen;
await second.stop();
console.log('executed:', second.stats.handled, 'expired:', second.stats.expired);

// With the commit: sent if and only if the transaction commits, by the relay.
const third = sms.consumer();
const relay = orders.relay();
await Promise.all([third.start(), relay.start()]);
await orders
  .transaction(async (transaction) => {
    await orders.sendCommand('lesson02-sms', { phone: '3', text: 'never' }, { commandName: 'send', transaction });
    throw new Error('rolled back');
  })
  .catch((error: Error) => console.log('not sent:', error.message));
seen = next();
await orders.transaction((transaction) =>
  orders.sendCommand('lesson02-sms', { phone: '4', text: 'committed' }, { commandName: 'send', transaction }),
);
await seen;

const mistyped = orders.sendCommand('lesson02-sns', { phone: '5', text: 'lost' }, { commandName: 'send' });
await mistyped.catch((error: unknown) =>
  console.log(error instanceof UnroutableError, (error as UnroutableError).code),
);

await Promise.all([orders.close(), sms.close()]);
