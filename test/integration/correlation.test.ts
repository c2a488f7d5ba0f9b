import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { SvcCommService } from '../../src/assemble.ts';
import { callConsumer } from '../../src/router/call-consumer.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { currentCorrelation, withCorrelation } from '../../src/util/correlation.ts';
import { correlateRequest, expressCorrelation, fastifyCorrelation } from '../../src/util/request-correlation.ts';
import { until } from '../support/consumer-kit.ts';
import { ServiceKit } from '../support/service-kit.ts';

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7/;

let kit: ServiceKit;
let service: SvcCommService;
let name: string;
/** What each message that was handled carried. */
const seen: [kind: string, correlationId: string | undefined, traceparent: unknown][] = [];

beforeAll(async () => {
  kit = await ServiceKit.open('correlation');
  service = kit.service('chain');
  name = service.settings.appId;
  const on = (key: string) => service.messageRouter.consumer(name, key);
  const note = (kind: string, context: { correlationId: string | undefined; headers: object }) =>
    seen.push([
      kind,
      context.correlationId,
      'traceparent' in context.headers ? context.headers.traceparent : undefined,
    ]);
  // A command, whose handler publishes an event, whose handler asks.
  on('start')(
    commandConsumer(async (_args, context) => {
      note('command', context);
      await service.publishAggregateEvent({ aggregate: name, eventType: 'started', payload: 1 });
      await service.publishFutureAggregateEvent({
        aggregate: name,
        eventType: 'later',
        payload: 1,
        eventTime: new Date(),
      });
    }),
  );
  on('started')(
    eventConsumer(async (_payload: unknown, _event, context) => {
      note('event', context);
      await new Promise((resolve) => setImmediate(resolve));
      await service.call(name, 'ask', {}, { timeout: 10 });
    }),
  );
  on('later')(eventConsumer(async (_payload: unknown, _event, context) => void note('future event', context)));
  on('ask')(
    callConsumer(async (_data, _call, context) => {
      note('call', context);
      return currentCorrelation()?.correlationId ?? null;
    }),
  );
  await service.migrate();
  await Promise.all([service.consumer().start(), service.relay().start()]);
});
afterAll(() => kit.close());

/** All four messages that one command leads to, with what they carried. */
async function chain(start: () => Promise<unknown>): Promise<Record<string, [unknown, unknown]>> {
  seen.length = 0;
  await start();
  await until(() => seen.length === 4);
  return Object.fromEntries(seen.map(([kind, id, trace]) => [kind, [id, trace]]));
}
const all = (id: unknown, trace: unknown) => ({
  command: [id, trace],
  event: [id, trace],
  'future event': [id, trace],
  call: [id, trace],
});

test('the id of withCorrelation goes with a command, the event of its handler, a future one, and the call of that', async () => {
  expect(
    await chain(() => withCorrelation('order-7', () => service.sendCommand(name, {}, { commandName: 'start' }))),
  ).toEqual(all('order-7', undefined));
});

test('it is in the row of the outbox, so that the relay sends it long after', async () => {
  const nobody = kit.exchangeName('rows');
  const correlation = { correlationId: 'order-8', traceparent: TRACEPARENT };
  await withCorrelation(correlation, async () => {
    await service.sendCommand(nobody, {}, { transaction: 'own' });
    await service.sendCall(nobody, 'x', {}, { transaction: 'own' });
  });
  const { rows } = await kit.pg.query(
    `SELECT properties FROM ${kit.table('svc_comm_outbox')} WHERE exchange = '${nobody}'`,
  );
  expect(rows.map(({ properties }) => JSON.parse(properties))).toEqual(
    Array(2).fill(expect.objectContaining({ correlationId: 'order-8', headers: { traceparent: TRACEPARENT } })),
  );
  await kit.pg.query(`DELETE FROM ${kit.table('svc_comm_outbox')} WHERE exchange = '${nobody}'`);
});

test('a call outside of everything has its own id as correlation id; inside, that of what it belongs to', async () => {
  const alone = await service.call<string>(name, 'ask', {}, { timeout: 10 });
  expect(alone).toMatch(UUID);
  const inside = withCorrelation('order-9', () => service.call<string>(name, 'ask', {}, { timeout: 10 }));
  await expect(inside).resolves.toBe('order-9');
  // One through the outbox, too.
  seen.length = 0;
  const callId = await service.sendCall(name, 'ask', {}, { transaction: 'own' });
  await until(() => seen.length === 1);
  expect(seen).toEqual([['call', callId, undefined]]);
});

test('an id that no message can carry is refused where it is given, not by every message after it', () => {
  const publish = vi.fn();
  const refused = (correlation: unknown) => () => withCorrelation(correlation as string, publish);
  for (const id of ['x'.repeat(256), 'é'.repeat(128), 'a\0b', 4711, { correlationId: 4711 }]) {
    expect(refused(id)).toThrow(
      expect.objectContaining({ code: 'SVC_COMM_INVALID_ARGUMENT', argument: 'correlationId' }),
    );
  }
  expect(publish).not.toHaveBeenCalled();
  expect(withCorrelation('é'.repeat(127), currentCorrelation)?.correlationId).toBe('é'.repeat(127));
});

test('what a consumed message carries as id, and no other can, does not fail what its handler publishes', async () => {
  seen.length = 0;
  const properties = { correlationId: 'a\0b', messageId: randomUUID() };
  kit.channel.publish(name, 'start', Buffer.from('{"meta":{}}'), properties);
  await until(() => seen.length === 4);
  expect(seen.map(([kind]) => kind).sort()).toEqual(['call', 'command', 'event', 'future event']);
});

test.each([
  ['version ff', `ff${TRACEPARENT.slice(2)}`],
  ['a trace id of zeros', '00-00000000000000000000000000000000-b7ad6b7169203331-01'],
  ['a parent id of zeros', '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01'],
  ['rubbish', 'rubbish'],
])('a traceparent with %s is none', (_what, traceparent) => {
  const ambient = withCorrelation({ correlationId: 'order-9', traceparent }, currentCorrelation);
  expect(ambient).toEqual({ correlationId: 'order-9', traceparent: undefined });
});

describe('an HTTP request', () => {
  const send = () => service.sendCommand(name, {}, { commandName: 'start' });
  const listening = async (server: Server): Promise<string> => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  };
  const post = async (url: string, headers: Record<string, string> = {}): Promise<void> => {
    const sent = { 'content-type': 'application/json', ...headers };
    const response = await fetch(url, { method: 'POST', headers: sent, body: '{"a":1}' });
    expect(response.status).toBe(200);
    await response.arrayBuffer();
  };

  const servers = {
    'node:http': async () => {
      const server = createServer((request, response) =>
        correlateRequest(request, async () => {
          for await (const _part of request);
          await send();
          response.end();
        }),
      );
      return { url: await listening(server), close: () => server.close() };
    },
    Express: async () => {
      const app = express();
      app.use(expressCorrelation(), express.json());
      app.post('/', async (_request, response) => {
        await send();
        response.end();
      });
      const server = createServer(app);
      return { url: await listening(server), close: () => server.close() };
    },
    Fastify: async () => {
      const app = fastify();
      app.register(fastifyCorrelation);
      app.post('/', async () => {
        await send();
        return {};
      });
      return { url: await app.listen({ port: 0 }), close: () => app.close() };
    },
  };

  test.each(Object.entries(servers))('of %s gives its id and trace to all that it leads to', async (_name, start) => {
    const { url, close } = await start();
    const headers = { 'X-Correlation-Id': 'browser-1', traceparent: TRACEPARENT };
    expect(await chain(() => post(url, headers))).toEqual(all('browser-1', TRACEPARENT));
    expect(await chain(() => post(url, { 'x-request-id': 'proxy-2' }))).toEqual(all('proxy-2', undefined));
    // None, or one that cannot travel: one is made, the same for all of it.
    const made = await chain(() => post(url, { 'x-correlation-id': 'x'.repeat(300), traceparent: 'rubbish' }));
    expect(made.command?.[0]).toMatch(UUID);
    expect(made).toEqual(all(made.command?.[0], undefined));
    await close();
  });

  test('two at the same time keep to their own', async () => {
    const { url, close } = await servers.Fastify();
    seen.length = 0;
    await Promise.all(['a', 'b', 'c', 'd'].map((id) => post(url, { 'x-correlation-id': id })));
    await until(() => seen.length === 16);
    for (const id of ['a', 'b', 'c', 'd']) expect(seen.filter(([, carried]) => carried === id)).toHaveLength(4);
    await close();
  });
});
