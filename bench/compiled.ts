import { bundle } from '../scripts/bundle.mjs';

interface Compiled {
  readonly assemble: typeof import('../src/assemble.ts');
  readonly index: typeof import('../src/index.ts');
  readonly 'broker/connection': typeof import('../src/broker/connection.ts');
  readonly 'broker/publisher': typeof import('../src/broker/publisher.ts');
  readonly 'database/sql/claim-inbox': typeof import('../src/database/sql/claim-inbox.ts');
  readonly 'http-door': typeof import('../src/http-door.ts');
  readonly 'outbox/event-row': typeof import('../src/outbox/event-row.ts');
  readonly 'router/call-consumer': typeof import('../src/router/call-consumer.ts');
  readonly 'rest-api-door': typeof import('../src/rest-api-door.ts');
  readonly 'task-door': typeof import('../src/task-door.ts');
  readonly 'outbox/sql/enqueue': typeof import('../src/outbox/sql/enqueue.ts');
  readonly 'task/isolation': typeof import('../src/task/isolation.ts');
  readonly 'broker/message-check': typeof import('../src/broker/message-check.ts');
  readonly 'consumer/pipeline': typeof import('../src/consumer/pipeline.ts');
  readonly 'consumer/workings': typeof import('../src/consumer/workings.ts');
  readonly 'outbox/lease-grant': typeof import('../src/outbox/lease-grant.ts');
  readonly 'outbox/relay-lanes': typeof import('../src/outbox/relay-lanes.ts');
  readonly 'outbox/relay-row': typeof import('../src/outbox/relay-row.ts');
  readonly 'router/router': typeof import('../src/router/router.ts');
  readonly 'wire/event': typeof import('../src/wire/event.ts');
  readonly 'wire/json': typeof import('../src/wire/json.ts');
  readonly 'task/task-process': typeof import('../src/task/task-process.ts');
}

const MODULES = [
  'assemble',
  'index',
  'broker/connection',
  'broker/publisher',
  'database/sql/claim-inbox',
  'http-door',
  'outbox/event-row',
  'router/call-consumer',
  'rest-api-door',
  'task-door',
  'outbox/sql/enqueue',
  'task/isolation',
  'broker/message-check',
  'consumer/pipeline',
  'consumer/workings',
  'outbox/lease-grant',
  'outbox/relay-lanes',
  'outbox/relay-row',
  'router/router',
  'wire/event',
  'wire/json',
  'task/task-process',
] as const satisfies (keyof Compiled)[];

/** What the benches import, bundled as dist/ is, into a folder of its own: others may be running what is in dist/. */
export async function bundleMeasured(): Promise<void> {
  await bundle(
    MODULES.map((name) => `src/${name}.ts`),
    'bench/dist',
  );
}

/** A module as it is bundled for users, under the types of the sources. */
export async function compiled<Name extends (typeof MODULES)[number]>(name: Name): Promise<Compiled[Name]> {
  return (await import(new URL(`dist/src/${name}.js`, import.meta.url).href)) as Compiled[Name];
}
