import { context, propagation, type TextMapPropagator, trace } from '@opentelemetry/api';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Incoming, Verdict } from '../../src/message/handler.ts';
import { Telemetry } from '../../src/telemetry/telemetry.ts';
import { withCorrelation } from '../../src/util/correlation.ts';
import { errorType } from '../../src/util/error-type.ts';
import { currentTraceparent } from '../../src/util/trace-context.ts';

const exporter = new InMemorySpanExporter();
const telemetry = new Telemetry();

const incoming = {
  delivery: { queue: 'queue', properties: { headers: {} }, body: Buffer.from('1') },
  exchange: 'orders',
  routingKey: 'placed',
  attempt: 1,
} as unknown as Incoming;

function setUp(processor = new SimpleSpanProcessor(exporter)): void {
  new NodeTracerProvider({ spanProcessors: [processor] }).register();
}

function takeDown(): void {
  trace.disable();
  propagation.disable();
  context.disable();
}

beforeAll(() => setUp());
afterEach(() => exporter.reset());
afterAll(takeDown);

/** Ends the run of a handler. @returns its span as it was exported */
function handled(verdict: Verdict) {
  telemetry.handling(incoming, 'handler')?.end(verdict);
  return exporter.getFinishedSpans().at(-1);
}

const unreadable = (name: string) =>
  Object.defineProperty(new Error('unreadable'), name, {
    get() {
      throw new Error('no');
    },
  });

describe('the span of a handler', () => {
  test.each([
    ['a code without toString', Object.assign(new Error('strange'), { code: Object.create(null) }), 'Error'],
    ['a code that is an object', Object.assign(new Error('strange'), { code: {} }), 'Error'],
    ['a code that is a number', Object.assign(new Error('strange'), { code: 7 }), 'Error'],
    ['a code that cannot be read', unreadable('code'), '_OTHER'],
    ['a message that cannot be read', unreadable('message'), 'Error'],
    ['a stack that cannot be read', unreadable('stack'), 'Error'],
    ['no form of a text', Object.create(null), '_OTHER'],
  ])('ends, and disturbs nothing, when what was thrown has %s', (_what, value, type) => {
    const span = handled({ kind: 'ack', outcome: 'failed', value });
    expect(span?.ended).toBe(true);
    expect(span?.attributes['error.type']).toBe(type);
    expect(span?.events.map(({ attributes }) => Object.values(attributes ?? {}).map((one) => typeof one))).toEqual([
      expect.not.arrayContaining(['object', 'undefined']),
    ]);
  });

  test('hides the password of a URL in what was thrown', async () => {
    const span = handled({ kind: 'ack', outcome: 'failed', value: new Error('no way to amqp://u:c4n4ry@h/v') });
    expect(span?.status.message).toBe('no way to amqp://u:***@h/v');
    expect(span?.events[0]?.attributes).toMatchObject({ 'exception.stacktrace': expect.stringContaining('u:***@h') });
    expect(JSON.stringify([span?.events, span?.status, span?.attributes])).not.toContain('c4n4ry');
    const text = handled({ kind: 'ack', outcome: 'failed', value: 'no way to amqp://u:c4n4ry@h/v' });
    expect(JSON.stringify([text?.events, text?.status])).not.toContain('c4n4ry');
    const failure = { name: 'Error', message: 'no way to amqp://u:c4n4ry@h/v' };
    const step = { process: 'order', instanceId: '1', step: 'pay' };
    await telemetry.processing(
      step,
      async () => undefined,
      () => ({ state: 'FAILURE', failure }),
    );
    expect(exporter.getFinishedSpans().at(-1)?.status.message).toBe('no way to amqp://u:***@h/v');
  });

  test('whose processor throws leaves the work alone', async () => {
    takeDown();
    const throwing = () => {
      throw new Error('a defect of the processor');
    };
    const processor = new SimpleSpanProcessor(exporter);
    processor.onEnd = throwing;
    setUp(processor);
    const destination = { exchange: 'orders', routingKey: 'placed' };
    expect(telemetry.sending('send', destination, () => 1)).toBe(1);
    await expect(telemetry.sending('send', destination, async () => 2)).resolves.toBe(2);
    expect(() => telemetry.handling(incoming, 'handler')?.end({ kind: 'ack', outcome: 'handled' })).not.toThrow();
    processor.onStart = throwing;
    expect(telemetry.sending('send', destination, () => 3)).toBe(3);
    takeDown();
    setUp();
  });
});

describe('the span of what goes to the default exchange', () => {
  test('is named for the queue', () => {
    telemetry
      .handling({ ...incoming, exchange: '', routingKey: 'orders' }, 'handler')
      ?.end({ kind: 'ack', outcome: 'handled' });
    const [span] = exporter.getFinishedSpans();
    expect(span?.name).toBe('process orders');
    expect(span?.attributes['messaging.destination.name']).toBe('orders');
  });
});

describe('with a propagator that writes no `traceparent`', () => {
  test('the trace of a task, and of a request that came with one, goes on all the same', async () => {
    takeDown();
    // As B3 does: a header of its own, and deaf to all others.
    const propagator: TextMapPropagator = {
      inject: (_context, carrier, setter) => setter.set(carrier, 'b3', 'its own'),
      extract: (given) => given,
      fields: () => ['b3'],
    };
    new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register({ propagator });
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const submitted = withCorrelation({ correlationId: 'c', traceparent: `00-${traceId}-b7ad6b7169203331-01` }, () =>
      telemetry.sending('send', { exchange: 'orders', routingKey: 'placed' }, () => currentTraceparent()),
    );
    const task = { id: 'id', name: 'task', attempt: 1, traceparent: submitted };
    const given = await telemetry.running(
      task,
      async (traceparent) => traceparent,
      () => 'SUCCESS',
    );
    const [sent, run] = exporter.getFinishedSpans();
    const idOf = (span: ReadableSpan | undefined) => span?.spanContext().spanId;
    expect(sent?.parentSpanContext).toMatchObject({ traceId, spanId: 'b7ad6b7169203331' });
    expect(submitted).toBe(`00-${traceId}-${idOf(sent)}-01`);
    expect(run?.parentSpanContext).toMatchObject({ traceId, spanId: idOf(sent) });
    expect(given).toBe(`00-${traceId}-${idOf(run)}-01`);
    takeDown();
    setUp();
  });
});

describe('the type of an error', () => {
  test('is its code, else its class, also of a class that gives itself no name, and never long', () => {
    class PaymentFailed extends Error {}
    expect(errorType(Object.assign(new RangeError('x'), { code: 'NO_ROOM' }))).toBe('NO_ROOM');
    expect(errorType(new RangeError('x'))).toBe('RangeError');
    expect(errorType(new PaymentFailed('x'))).toBe('PaymentFailed');
    expect(errorType(new Error('x'))).toBe('Error');
    expect(errorType('x')).toBe('_OTHER');
    expect(errorType(Object.assign(new Error('x'), { code: 'x'.repeat(1e6) }))).toHaveLength(255);
  });
});
