import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defineProcess } from '../../src/process/definition.ts';
import type { Processes } from '../../src/process/processes.ts';
import { OpenTelemetry } from '../support/open-telemetry.ts';
import { ProcessKit } from '../support/process-kit.ts';

let telemetry: OpenTelemetry;
let kit: ProcessKit;
let processes: Processes;

const idOf = (span: ReadableSpan) => span.spanContext().spanId;
/** Name, kind and parent of each, by their names. */
const shape = (spans: readonly ReadableSpan[]) =>
  spans
    .map((span) => [
      span.name,
      SpanKind[span.kind],
      spans.find((other) => idOf(other) === span.parentSpanContext?.spanId)?.name,
    ])
    .toSorted();

/** Creates an instance in a span of the project's own. @returns all spans of that trace */
async function creating(id: string, body: unknown = {}) {
  const { traceId, outcome } = await telemetry.within('request', async (span) => ({
    traceId: span.spanContext().traceId,
    outcome: await processes.create(id, body).catch((error: unknown) => error),
  }));
  return { outcome, spans: () => telemetry.ofTrace(traceId), traceId };
}

const named = (spans: readonly ReadableSpan[], name: string) => spans.find((span) => span.name === name);

beforeAll(async () => {
  telemetry = new OpenTelemetry();
  kit = await ProcessKit.create('real servers');
  const work = async () => telemetry.within('work of the project', async () => undefined);
  const deny = () => {
    throw Object.assign(new Error('the printer is on fire'), { code: 'PRINTER' });
  };
  kit.registry.add(defineProcess({ id: 'traced', tasksSync: [work, function second() {}] }));
  kit.registry.add(defineProcess({ id: 'denied', tasksSync: [deny, function second() {}] }));
  const service = kit.service();
  await service.migrate();
  processes = await service.processes();
  await kit.startWorker(service);
});

afterAll(async () => {
  await kit?.close();
  await telemetry?.stop();
});

describe('the trace of a process instance', () => {
  test('has each synchronous task below its creation, and what the task does below that', async () => {
    const { spans, outcome } = await creating('traced');
    const { instance } = outcome as Awaited<ReturnType<Processes['create']>>;
    expect(shape(spans())).toEqual([
      ['request', 'INTERNAL', undefined],
      ['run traced', 'INTERNAL', 'request'],
      ['run traced.second', 'INTERNAL', 'run traced'],
      ['run traced.work', 'INTERNAL', 'run traced'],
      ['work of the project', 'INTERNAL', 'run traced.work'],
    ]);
    const ofInstance = { 'svc_comm.process.id': 'traced', 'svc_comm.process.instance': instance.id };
    expect(named(spans(), 'run traced')?.attributes).toEqual({ ...ofInstance, 'svc_comm.process.state': 'Complete' });
    expect(named(spans(), 'run traced.work')?.attributes).toEqual({
      ...ofInstance,
      'svc_comm.task.name': 'traced.work',
      'svc_comm.task.state': 'SUCCESS',
    });
  });

  test('has the asynchronous tasks below its creation, wherever they run', async () => {
    const { spans, traceId } = await creating('hello', { foo: 'Ann', bar: 'Bob' });
    await telemetry.span('run hello.analytics.recordHit', (span) => span.spanContext().traceId === traceId);
    expect(shape(spans())).toContainEqual(['run hello.analytics.recordHit', 'CONSUMER', 'run hello']);
    expect(named(spans(), 'run hello')?.attributes['svc_comm.process.state']).toBe('Running');
  });

  test('shows which task failed, with what, and that no other was begun', async () => {
    const { spans } = await creating('denied');
    expect(shape(spans()).map(([name]) => name)).toEqual(['request', 'run denied', 'run denied.deny']);
    const step = named(spans(), 'run denied.deny');
    expect(step?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'the printer is on fire' });
    expect(step?.attributes).toMatchObject({ 'error.type': 'PRINTER', 'svc_comm.task.state': 'FAILURE' });
    const instance = named(spans(), 'run denied');
    expect(instance?.status.code).toBe(SpanStatusCode.ERROR);
    expect(instance?.attributes['svc_comm.process.state']).toBe('Failed');
  });

  test('shows what was refused by its validations', async () => {
    const { spans, outcome } = await creating('hello', { foo: 'Ann' });
    expect(outcome).toMatchObject({ code: 'SVC_COMM_INVALID_PROCESS_INPUT' });
    expect(named(spans(), 'run hello')?.attributes).toMatchObject({
      'error.type': 'SVC_COMM_INVALID_PROCESS_INPUT',
    });
  });
});
