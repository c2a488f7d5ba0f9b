import { describe, expect, test } from 'vitest';
import { declarationsOf } from '../../src/broker/declarations.ts';
import { differenceOf } from '../../src/broker/topology-difference.ts';
import type { TopologySpec } from '../../src/message/topology.ts';

const spec = (queue: Partial<TopologySpec['queue']> = {}): TopologySpec => ({
  exchanges: [],
  queue: { name: 'orders', type: 'quorum', singleActiveConsumer: false, arguments: {}, ...queue },
  binds: [],
  retryDelaysMs: [1_000],
});

const argumentsOf = (name: string, from: TopologySpec, version: string | undefined) => {
  const declaration = declarationsOf(from, version).find((each) => each.name === name);
  return declaration?.kind === 'queue' ? declaration.arguments : undefined;
};

describe('the declarations', () => {
  test.each([
    ['3.10.8', undefined],
    ['3.13.7', undefined],
    ['4.0.2', -1],
    ['4.3.0', -1],
    ['10.0.0', -1],
    [undefined, undefined],
  ])('on RabbitMQ %s lift the delivery limit with %s', (version, limit) => {
    expect(argumentsOf('orders', spec(), version)?.['x-delivery-limit']).toBe(limit);
    expect(argumentsOf('orders.dead', spec(), version)?.['x-delivery-limit']).toBe(limit);
    expect(argumentsOf('orders', spec({ type: 'classic' }), version)).toEqual({ 'x-queue-type': 'classic' });
  });

  test('keep the delivery limit and the arguments that the settings name', () => {
    const wanted = spec({ deliveryLimit: 7, singleActiveConsumer: true, arguments: { 'x-max-length': 5 } });
    expect(argumentsOf('orders', wanted, '4.0.0')).toEqual({
      'x-queue-type': 'quorum',
      'x-delivery-limit': 7,
      'x-single-active-consumer': true,
      'x-max-length': 5,
    });
  });

  test('of the work queue name no dead-letter exchange', () => {
    expect(argumentsOf('orders', spec(), '3.10.8')).toEqual({ 'x-queue-type': 'quorum' });
  });

  test('make the work queue last, so that what it gets can be retried and dead-lettered', () => {
    expect(declarationsOf(spec(), '3.10.8').map(({ name }) => name)).toEqual([
      'orders.dead',
      'orders.retry.1000',
      'orders',
    ]);
  });
});

describe('a difference', () => {
  const queue = { kind: 'queue', name: 'q', arguments: {} } as const;
  const refusal = (code: number, text: string) =>
    Object.assign(new Error(`Operation failed: QueueDeclare; ${code} (X) with message "${text}"`), { code });

  test.each([
    ["received 'true' but current is 'false'", 'durable = true', 'durable = false'],
    ["received none but current is the value '1000' of type 'short'", 'durable = none', 'durable = 1000'],
    ["received the value 'quorum' of type 'longstr' but current is none", 'durable = quorum', 'durable = none'],
  ])('is read from %s', (text, wanted, found) => {
    const error = refusal(406, `PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': ${text}`);
    expect(differenceOf(queue, error)).toMatchObject({ what: 'queue "q"', wanted, found });
  });

  test('of a queue says that its consumers and what publishes to it are stopped before it is deleted', () => {
    const text =
      "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'a' but current is 'b'";
    const { todo } = differenceOf(queue, refusal(406, text));
    expect(todo).toMatch(/what is there, or stop all its consumers, old ones too, .*publishes .* empty "q", delete it/);
  });

  test.each([
    [403, "ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user 'u'", /grant/],
    [405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q'", /another name/],
    [404, "NOT_FOUND - no queue 'q' in vhost '/'", /create/],
    [406, "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'q' in vhost '/': {value_negative,-1}", /mend/],
  ])('of a %i says what to do', (code, text, todo) => {
    expect(differenceOf(queue, refusal(code, text)).todo).toMatch(todo);
  });
});
