import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EmbeddedBroker } from '../../src/embedded/broker/embedded-broker.ts';
import { EMPTY_TABLE, type Field } from '../../src/embedded/broker/field-table.ts';
import { toWire } from '../../src/embedded/broker/fields.ts';
import { FRAME } from '../../src/embedded/broker/frame.ts';
import { contentHeader, encodedMethod, frame, methodFrame, RawPeer } from '../support/raw-amqp.ts';
import { hasServers, testBrokerUrl } from '../support/servers.ts';

const embedded = new EmbeddedBroker();
beforeAll(() => embedded.start());
afterAll(() => embedded.stop());

const publish = { ticket: 0, exchange: '', routingKey: 'nowhere', mandatory: false, immediate: false };
const declare = {
  ticket: 0,
  queue: '',
  passive: false,
  durable: false,
  exclusive: true,
  autoDelete: false,
  nowait: false,
  arguments: EMPTY_TABLE,
};

describe.each([
  ...(hasServers ? [{ broker: 'RabbitMQ', url: () => testBrokerUrl() }] : []),
  { broker: 'the embedded broker', url: () => embedded.url },
])('frames at $broker', ({ url }) => {
  let peer: RawPeer;
  beforeEach(async () => {
    peer = await RawPeer.open(url());
  });
  afterEach(() => peer.close());

  const body = (text: string): Buffer => frame(FRAME.body, 1, Buffer.from(text));

  it.each([
    // RabbitMQ says so only at the next method.
    [
      'a body that is longer than its header says',
      505,
      [
        methodFrame(1, 'basic.publish', publish),
        frame(FRAME.header, 1, contentHeader(4)),
        body('ab'),
        body('cdef'),
        methodFrame(1, 'tx.select', {}),
      ],
    ],
    ['a method where content is due', 505, [methodFrame(1, 'basic.publish', publish), methodFrame(1, 'tx.select', {})]],
    ['content without a publish', 505, [body('ab')]],
    [
      'the content of another class',
      505,
      [methodFrame(1, 'basic.publish', publish), frame(FRAME.header, 1, contentHeader(0, 50))],
    ],
    [
      'a content header that is cut short',
      501,
      [methodFrame(1, 'basic.publish', publish), frame(FRAME.header, 1, Buffer.from([0, 60]))],
    ],
    [
      'a method with bytes after its last argument',
      501,
      [frame(FRAME.method, 1, Buffer.concat([encodedMethod('queue.declare', declare), Buffer.from('x')]))],
    ],
    ['a name that is no UTF-8', 501, [methodFrame(1, 'queue.declare', { ...declare, queue: '\xff\xfe' })]],
    ['a channel that is open already', 504, [methodFrame(1, 'channel.open', { reserved1: '' })]],
    ['a channel that was never opened', 504, [methodFrame(7, 'queue.declare', declare)]],
    ['a frame of an unknown type', 501, [frame(9, 1, Buffer.from('x'))]],
  ])('%s ends the connection with %i', async (_what, code, frames) => {
    peer.send(...frames);
    expect((await peer.next('connection.close')).replyCode).toBe(code);
  });

  it('opening a channel anew before its close was acknowledged ends the connection', async () => {
    peer.method(1, 'queue.declare', { ...declare, queue: 'svc-comm-missing', passive: true });
    expect((await peer.next('channel.close')).replyCode).toBe(404);
    peer.method(1, 'channel.open', { reserved1: '' });
    expect((await peer.next('connection.close')).replyCode).toBe(504);
  });

  it('a channel that was closed by an error can be used again after its close-ok', async () => {
    peer.method(1, 'queue.declare', { ...declare, queue: 'svc-comm-missing', passive: true });
    await peer.next('channel.close');
    peer.send(methodFrame(1, 'channel.close-ok', {}), methodFrame(1, 'channel.open', { reserved1: '' }));
    await peer.next('channel.open-ok');
    peer.method(1, 'queue.declare', declare);
    expect((await peer.next('queue.declare-ok')).messageCount).toBe(0);
  });

  it('nothing larger than 4096 bytes may come before the limits are agreed on', async () => {
    const early = await RawPeer.greeted(url());
    const clientProperties = new Map([['padding', { type: 'S', value: 'x'.repeat(5000) } as const]]);
    const response = '\0guest\0guest';
    early.method(0, 'connection.start-ok', { clientProperties, mechanism: 'PLAIN', response, locale: 'en_US' });
    // RabbitMQ ends the socket without a word, this broker says why: neither goes on.
    const answer = await early.nextMethod();
    expect([undefined, 'connection.close']).toContain(answer?.name);
    early.close();
  });

  it('the version that the broker gives is one that clients can compare', async () => {
    const { serverProperties } = await RawPeer.greeting(url());
    expect(serverProperties.get('version')?.value).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('a queue may be named in any script', async () => {
    const queue = toWire('Bücher-本-✓');
    peer.method(1, 'queue.declare', { ...declare, queue });
    expect((await peer.next('queue.declare-ok')).queue).toBe(queue);
  });

  it('a table may hold an unsigned long', async () => {
    peer.method(1, 'queue.declare', { ...declare, arguments: new Map([['x-any', { type: 'L', value: 2n ** 63n }]]) });
    expect((await peer.next('queue.declare-ok')).consumerCount).toBe(0);
  });

  it('what a commit lets through comes after its answer', async () => {
    peer.method(1, 'queue.declare', declare);
    const { queue } = await peer.next('queue.declare-ok');
    for (const text of ['1', '2']) {
      const header = frame(FRAME.header, 1, contentHeader(text.length));
      peer.send(methodFrame(1, 'basic.publish', { ...publish, routingKey: queue }), header, body(text));
    }
    peer.method(1, 'tx.select', {});
    peer.method(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 1, global: false });
    peer.method(1, 'basic.consume', {
      ticket: 0,
      queue,
      consumerTag: 'c',
      noLocal: false,
      noAck: false,
      exclusive: false,
      nowait: false,
      arguments: EMPTY_TABLE,
    });
    expect((await peer.next('basic.deliver')).deliveryTag).toBe(1);
    peer.method(1, 'basic.ack', { deliveryTag: 1, multiple: false });
    peer.method(1, 'tx.commit', {});
    expect((await peer.nextMethod())?.name).toBe('tx.commit-ok');
    expect((await peer.next('basic.deliver')).deliveryTag).toBe(2);
  });

  it('a commit of which a queue refuses a message tells so, and settles what it was to settle', async () => {
    // Another channel, which outlives the refusal.
    peer.method(2, 'channel.open', { reserved1: '' });
    const declared = (queue: string, passive: boolean, args: ReadonlyMap<string, Field> = EMPTY_TABLE) => {
      peer.method(2, 'queue.declare', { ...declare, queue, passive, arguments: args });
      return peer.next('queue.declare-ok');
    };
    const { queue: work } = await declared('', false);
    const { queue: full } = await declared(
      '',
      false,
      new Map<string, Field>([
        ['x-max-length', { type: 'I', value: 0 }],
        ['x-overflow', { type: 'S', value: 'reject-publish' }],
      ]),
    );
    const send = (queue: string, text: string) =>
      peer.send(
        methodFrame(1, 'basic.publish', { ...publish, routingKey: queue }),
        frame(FRAME.header, 1, contentHeader(text.length)),
        body(text),
      );
    for (const text of ['acked', 'rejected', 'requeued']) send(work, text);
    peer.method(1, 'tx.select', {});
    await peer.next('tx.select-ok');
    for (let got = 0; got < 3; got += 1) {
      peer.method(1, 'basic.get', { ticket: 0, queue: work, noAck: false });
      await peer.next('basic.get-ok');
    }
    peer.method(1, 'basic.ack', { deliveryTag: 1, multiple: false });
    peer.method(1, 'basic.reject', { deliveryTag: 2, requeue: false });
    peer.method(1, 'basic.reject', { deliveryTag: 3, requeue: true });
    send(full, 'refused');
    peer.method(1, 'tx.commit', {});
    expect(await peer.next('channel.close')).toMatchObject({
      replyText: 'PRECONDITION_FAILED - partial tx completion',
    });
    await expect.poll(async () => (await declared(work, true)).messageCount).toBe(1);
  });
});

// RabbitMQ does so only when it reads the publishes one by one.
describe('the embedded broker alone', () => {
  it('a return comes after the confirms of all that was published before it', async () => {
    const peer = await RawPeer.open(embedded.url);
    peer.method(1, 'confirm.select', { nowait: false });
    await peer.next('confirm.select-ok');
    const empty = frame(FRAME.header, 1, contentHeader(0));
    peer.send(methodFrame(1, 'basic.publish', publish), empty);
    peer.send(methodFrame(1, 'basic.publish', { ...publish, mandatory: true }), empty);
    const answers = [await peer.nextMethod(), await peer.nextMethod(), await peer.nextMethod()];
    expect(answers.map((answer) => answer?.name)).toEqual(['basic.ack', 'basic.return', 'basic.ack']);
    peer.close();
  });
});
