import { fileURLToPath } from 'node:url';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { createRestClient } from '../../src/rest-api/client.ts';
import { callConsumer } from '../../src/router/call-consumer.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { withCorrelation } from '../../src/util/correlation.ts';
import { HttpKit } from '../support/http-kit.ts';
import { OpenTelemetry } from '../support/open-telemetry.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
let telemetry: OpenTelemetry;
let service: SvcCommService;
let name: string;

const idOf = (span: ReadableSpan) => span.spanContext().spanId;
const parentOf = (span: ReadableSpan) => span.parentSpanContext?.spanId;
/** Name, kind and parent of each, by their names: clocks of milliseconds say little of their order. */
const shape = (spans: readonly ReadableSpan[]) =>
  spans
    .map((span) => [span.name, SpanKind[span.kind], spans.find((other) => idOf(other) === parentOf(span))?.name])
    .toSorted();

beforeAll(async () => {
  // Before the service: OpenTelemetry gives meters only to those who come after it.
  telemetry = new OpenTelemetry();
  kit = await ServiceKit.open('telemetry');
  service = kit.service('traced');
  name = service.settings.appId;
  const on = (key: string) => service.messageRouter.consumer(name, key);
  on('placed')(
    eventConsumer(async (_payload: unknown, _event, context) => {
      context.logger.info({}, 'handling');
      await telemetry.within('work of the project', async () => undefined);
      await service.publishAggregateEvent({ aggregate: name, eventType: 'followed', payload: 1 });
    }),
  );
  on('followed')(eventConsumer(async () => undefined));
  on('fails')(
    eventConsumer(async () => {
      throw Object.assign(new Error('the printer is on fire'), { code: 'PRINTER' });
    }),
  );
  on('do')(commandConsumer(async () => undefined));
  on('ask')(callConsumer(async () => 42));
  on('refuse')(
    callConsumer(async () => {
      throw Object.assign(new Error('no'), { code: 'NO' });
    }),
  );
  await service.migrate();
  await service.consumer().start();
  await service.relay().start();
});

afterAll(async () => {
  await kit?.close();
  await telemetry?.stop();
});

/** Publishes in a span of the project's own. @returns that trace's id */
const publishing = (eventType: string) =>
  telemetry.within('request', async (span) => {
    await service.transaction(() => service.publishAggregateEvent({ aggregate: name, eventType, payload: {} }));
    return span.spanContext().traceId;
  });

describe('a trace', () => {
  test('goes from the transaction over outbox and relay into the handler, and into what the handler does and publishes', async () => {
    const traceId = await publishing('placed');
    const inTrace = (span: ReadableSpan) => span.spanContext().traceId === traceId;
    await telemetry.span(
      `process ${name}`,
      (span) => inTrace(span) && span.attributes['svc_comm.outcome'] === 'handled',
    );
    await telemetry.span(
      `process ${name}`,
      (span) => inTrace(span) && span.attributes['messaging.rabbitmq.destination.routing_key'] === 'followed',
    );
    const names = shape(telemetry.ofTrace(traceId));
    expect(names).toHaveLength(8);
    expect(names).toEqual(
      expect.arrayContaining([
        ['request', 'INTERNAL', undefined],
        [`create ${name}`, 'PRODUCER', 'request'],
        [`send ${name}`, 'CLIENT', `create ${name}`],
        [`process ${name}`, 'CONSUMER', `create ${name}`],
        ['work of the project', 'INTERNAL', `process ${name}`],
        [`create ${name}`, 'PRODUCER', `process ${name}`],
      ]),
    );
  });

  test('has the attributes of the conventions, and says what became of the message', async () => {
    const traceId = await publishing('followed');
    const span = await telemetry.span(`process ${name}`, (one) => one.spanContext().traceId === traceId);
    const created = telemetry.ofTrace(traceId).find((one) => one.name === `create ${name}`);
    expect(span.attributes).toMatchObject({
      'messaging.system': 'rabbitmq',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.destination.name': name,
      'messaging.rabbitmq.destination.routing_key': 'followed',
      'messaging.consumer.group.name': name,
      'messaging.message.id': created?.attributes['messaging.message.id'],
      'messaging.message.body.size': expect.any(Number),
      'svc_comm.attempt': 1,
      'svc_comm.outcome': 'handled',
    });
    expect(created?.attributes['messaging.message.id']).toMatch(/^[\da-f-]{36}$/);
    expect(created?.instrumentationScope.name).toBe('svc-comm');
  });

  test('shows each failed run as an error with its code, and why the message was given up', async () => {
    const traceId = await publishing('fails');
    const inTrace = (span: ReadableSpan) => span.spanContext().traceId === traceId;
    await telemetry.span(`process ${name}`, (span) => inTrace(span) && span.attributes['svc_comm.outcome'] === 'retry');
    await telemetry.span(`process ${name}`, (span) => inTrace(span) && span.attributes['svc_comm.attempt'] === 2);
    const runs = telemetry.ofTrace(traceId).filter((span) => span.name === `process ${name}`);
    expect(runs.map((span) => span.attributes['svc_comm.attempt'])).toEqual([1, 2]);
    expect(
      runs.map(({ attributes }) => [attributes['svc_comm.outcome'], attributes['svc_comm.dead_letter.reason']]),
    ).toEqual([
      ['retry', undefined],
      ['dead-letter', 'attempts'],
    ]);
    for (const run of runs) {
      expect(run.status).toEqual({ code: SpanStatusCode.ERROR, message: 'the printer is on fire' });
      expect(run.attributes['error.type']).toBe('PRINTER');
      expect(run.events.map((event) => event.name)).toEqual(['exception']);
    }
  });

  test('of a command has the send and the handler', async () => {
    const traceId = await telemetry.within('request', async (span) => {
      await service.sendCommand(name, {}, { commandName: 'do' });
      return span.spanContext().traceId;
    });
    await telemetry.span(`process ${name}`, (span) => span.spanContext().traceId === traceId);
    expect(shape(telemetry.ofTrace(traceId))).toEqual([
      [`process ${name}`, 'CONSUMER', `send ${name}`],
      ['request', 'INTERNAL', undefined],
      [`send ${name}`, 'PRODUCER', 'request'],
    ]);
  });

  test('of a call has the wait for the answer, and the error that came back', async () => {
    const traceId = await telemetry.within('request', async (span) => {
      expect(await service.call(name, 'ask', {}, { timeout: 10 })).toBe(42);
      await expect(service.call(name, 'refuse', {}, { timeout: 10 })).rejects.toMatchObject({ remoteCode: 'NO' });
      return span.spanContext().traceId;
    });
    const [answered, refused] = telemetry.ofTrace(traceId).filter((span) => span.name === `call ${name}`);
    expect([answered?.kind, answered?.status.code]).toEqual([SpanKind.CLIENT, SpanStatusCode.UNSET]);
    expect([refused?.attributes['error.type'], refused?.status.code]).toEqual([
      'SVC_COMM_REMOTE',
      SpanStatusCode.ERROR,
    ]);
    const handled = await telemetry.span(`process ${name}`, (span) => parentOf(span) === (answered && idOf(answered)));
    expect(handled.attributes['svc_comm.outcome']).toBe('handled');
    const conversation = 'messaging.message.conversation_id';
    expect(answered?.attributes[conversation]).toEqual(expect.any(String));
    expect(answered?.attributes[conversation]).toBe(handled.attributes[conversation]);
    const failed = await telemetry.span(`process ${name}`, (span) => parentOf(span) === (refused && idOf(refused)));
    expect(failed.attributes).toMatchObject({ 'svc_comm.outcome': 'failed', 'error.type': 'NO' });
  });

  test('that came by a header, without instrumentation of HTTP, goes on in our spans', async () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    await withCorrelation({ correlationId: 'c', traceparent: `00-${traceId}-b7ad6b7169203331-01` }, () =>
      service.transaction(() => service.publishAggregateEvent({ aggregate: name, eventType: 'followed', payload: 1 })),
    );
    const span = await telemetry.span(`process ${name}`, (one) => one.spanContext().traceId === traceId);
    expect(span.attributes['messaging.message.conversation_id']).toBe('c');
    const created = telemetry.ofTrace(traceId).find((one) => one.name === `create ${name}`);
    expect(created?.attributes['messaging.message.conversation_id']).toBe('c');
    expect(created && parentOf(created)).toBe('b7ad6b7169203331');
  });

  test('is in the log lines of the handler', async () => {
    const traceId = await publishing('placed');
    await telemetry.span(`process ${name}`, (span) => span.spanContext().traceId === traceId);
    const lines = kit.log.lines.filter(({ text }) => text === 'handling');
    expect(lines.map(({ fields }) => fields)).toContainEqual(expect.objectContaining({ traceId }));
  });
});

describe('a task', () => {
  test('runs in a span below that of whoever submitted it, which its process goes on with', async () => {
    const taskRegistry = new TaskRegistry();
    taskRegistry.addExports(await import('../support/task-project/tasks.ts'));
    const { brokerUrls, databaseUrl, schema } = service.settings;
    const given = {
      appId: kit.exchangeName('tasks'),
      brokerUrl: brokerUrls,
      databaseUrl,
      schema,
      worker: { concurrency: 1 },
    };
    // Its processes find tsx, which the sources need, from the repository.
    const settings = resolveSettings(given, { root: fileURLToPath(new URL('../..', import.meta.url)) });
    const working = createService(settings, { taskRegistry, logger: kit.log });
    onTestFinished(async () => {
      await working.close();
      await kit.channel.deleteQueue(`${settings.appId}.tasks`);
    });
    await working
      .worker({ files: [fileURLToPath(new URL('../support/task-project/tasks.ts', import.meta.url))] })
      .start();
    const tasks = await working.tasks();
    const { traceId, traceparent } = await telemetry.within('request', async (span) => {
      const handle = await tasks.submit('traced', {});
      return { traceId: span.spanContext().traceId, traceparent: await handle.result({ timeout: 30 }) };
    });
    const span = await telemetry.span('run traced', (one) => one.spanContext().traceId === traceId);
    expect(shape(telemetry.ofTrace(traceId))).toEqual([
      ['request', 'INTERNAL', undefined],
      ['run traced', 'CONSUMER', 'request'],
    ]);
    expect(traceparent).toBe(`00-${traceId}-${idOf(span)}-01`);
    expect(span.attributes).toMatchObject({ 'svc_comm.task.name': 'traced', 'svc_comm.task.state': 'SUCCESS' });
    const durations = await telemetry.metric('svc_comm.task.duration');
    const ofTask = durations.get(JSON.stringify({ 'svc_comm.task.name': 'traced', 'svc_comm.task.state': 'SUCCESS' }));
    expect(ofTask).toMatchObject({ count: 1 });
  });
});

describe('a request of the REST client', () => {
  test('carries the active span, or the one that an instrumentation of undici makes for it, and never two', async () => {
    const server = await HttpKit.open();
    onTestFinished(() => server.close());
    const client = createRestClient({ host: server.url });
    onTestFinished(() => client.close());
    const own = await telemetry.within('request', async (span) => {
      await client.get('/');
      return span.spanContext();
    });
    expect(server.seen.at(-1)?.headers.traceparent).toBe(`00-${own.traceId}-${own.spanId}-01`);
    const instrumentation = new UndiciInstrumentation();
    onTestFinished(() => instrumentation.disable());
    const traceId = await telemetry.within('request', async (span) => {
      await client.get('/');
      return span.spanContext().traceId;
    });
    const span = await telemetry.span('GET', (one) => one.spanContext().traceId === traceId);
    expect(server.seen.at(-1)?.headers.traceparent).toBe(`00-${traceId}-${idOf(span)}-01`);
  });
});

describe('with `telemetry.spans: false`', () => {
  test('there are no spans of ours, and the trace goes into the handler all the same', async () => {
    // In a schema of its own: the other service's relay would send for it.
    const own = await ServiceKit.open('quiet');
    onTestFinished(() => own.close());
    const quiet = own.service('quiet', { telemetry: { spans: false } });
    const exchange = quiet.settings.appId;
    quiet.messageRouter.consumer(
      exchange,
      'told',
    )(eventConsumer(async () => telemetry.within('work behind it', async () => undefined)));
    await quiet.migrate();
    await quiet.consumer().start();
    await quiet.relay().start();
    const traceId = await telemetry.within('request', async (span) => {
      await quiet.transaction(() =>
        quiet.publishAggregateEvent({ aggregate: exchange, eventType: 'told', payload: 1 }),
      );
      return span.spanContext().traceId;
    });
    await telemetry.span('work behind it', (span) => span.spanContext().traceId === traceId);
    expect(shape(telemetry.ofTrace(traceId))).toEqual([
      ['request', 'INTERNAL', undefined],
      ['work behind it', 'INTERNAL', 'request'],
    ]);
  });
});

describe('metrics of OpenTelemetry', () => {
  test('tell what the consumer has counted, and how long runs took', async () => {
    const counting = kit.service('counting');
    const exchange = counting.settings.appId;
    counting.messageRouter.consumer(exchange, 'good')(eventConsumer(async () => undefined));
    counting.messageRouter.consumer(
      exchange,
      'bad',
    )(
      eventConsumer(async () => {
        throw new RangeError('bad');
      }),
    );
    await counting.migrate();
    const consumer = counting.consumer();
    await consumer.start();
    await counting.relay().start();
    for (const eventType of ['good', 'good', 'good', 'bad']) {
      await counting.transaction(() => counting.publishAggregateEvent({ aggregate: exchange, eventType, payload: 1 }));
    }
    await telemetry.span(`process ${exchange}`, ({ attributes }) => attributes['svc_comm.attempt'] === 2);
    await expect.poll(() => consumer.stats.deadLettered.attempts).toBe(1);
    await expect.poll(() => consumer.stats.handled).toBe(3);
    const of = (labels: object) => JSON.stringify({ 'messaging.consumer.group.name': exchange, ...labels });
    const messages = await telemetry.metric('svc_comm.consumer.messages');
    expect(messages.get(of({ 'svc_comm.outcome': 'handled' }))).toBe(3);
    expect(messages.get(of({ 'svc_comm.outcome': 'retry' }))).toBe(1);
    expect(messages.get(of({ 'svc_comm.outcome': 'dead-letter' }))).toBe(1);
    const received = await telemetry.metric('svc_comm.consumer.received');
    const ended = [...messages].flatMap(([labels, count]) => (labels.includes(exchange) ? [Number(count)] : []));
    expect(ended.reduce((sum, count) => sum + count)).toBe(received.get(of({})));
    const dead = await telemetry.metric('svc_comm.consumer.dead_letters');
    expect(dead.get(of({ 'svc_comm.dead_letter.reason': 'attempts' }))).toBe(1);
    const durations = await telemetry.metric('messaging.process.duration');
    const good = [...durations].filter(([labels]) => labels.includes(exchange) && labels.includes('"handled"'));
    expect(good.map(([, value]) => (value as { count: number }).count)).toEqual([3]);
    const bad = [...durations].filter(([labels]) => labels.includes(exchange) && labels.includes('RangeError'));
    expect(bad.map(([, value]) => (value as { count: number }).count)).toEqual([1, 1]);
    expect(bad.map(([labels]) => JSON.parse(labels)['svc_comm.outcome'])).toEqual(['retry', 'dead-letter']);
    const ready = await telemetry.metric('svc_comm.ready');
    expect(ready.get(JSON.stringify({ 'svc_comm.role': consumer.name }))).toBe(1);
  });
});
