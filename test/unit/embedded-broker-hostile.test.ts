import { connect as dial } from 'node:net';
import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ByteWriter } from '../../src/embedded/broker/byte-writer.ts';
import { EmbeddedBroker } from '../../src/embedded/broker/embedded-broker.ts';
import { EMPTY_TABLE, type Field } from '../../src/embedded/broker/field-table.ts';
import { FRAME, FRAME_END } from '../../src/embedded/broker/frame.ts';
import { writeMethod } from '../../src/embedded/broker/method-codec.ts';
import type { MethodArguments, MethodName } from '../../src/embedded/broker/method-table.ts';
import { writeProperties } from '../../src/embedded/broker/properties.ts';
import type { Logger } from '../../src/lifecycle/logger.ts';

const failures: object[] = [];
const logger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (fields) => failures.push(fields),
};
const broker = new EmbeddedBroker({ logger });
beforeAll(() => broker.start());
afterAll(() => broker.stop());

const HEADER = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1');

function frame(type: number, channel: number, payload: Buffer): Buffer {
  const writer = new ByteWriter();
  writer.uint8(type);
  writer.uint16(channel);
  writer.uint32(payload.length);
  writer.bytes(payload);
  writer.uint8(FRAME_END);
  return writer.take();
}

function method<Name extends MethodName>(channel: number, name: Name, args: MethodArguments<Name>): Buffer {
  const writer = new ByteWriter();
  writeMethod(writer, name, args);
  return frame(FRAME.method, channel, writer.take());
}

const handshake = [
  method(0, 'connection.start-ok', {
    clientProperties: EMPTY_TABLE,
    mechanism: 'PLAIN',
    response: '\0guest\0guest',
    locale: 'en_US',
  }),
  method(0, 'connection.tune-ok', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 }),
  method(0, 'connection.open', { virtualHost: '/', reserved1: '', reserved2: false }),
  method(1, 'channel.open', { reserved1: '' }),
];
const content = Buffer.alloc(14 - 2);
content.writeUInt16BE(60, 0);
content.writeUInt32BE(3, 8);
const common = { ticket: 0, nowait: false, arguments: EMPTY_TABLE };
const session = [
  method(1, 'exchange.declare', {
    ...common,
    exchange: 'fuzz',
    type: 'topic',
    passive: false,
    durable: false,
    autoDelete: true,
    internal: false,
  }),
  method(1, 'queue.declare', {
    ...common,
    queue: 'fuzz',
    passive: false,
    durable: false,
    exclusive: false,
    autoDelete: false,
  }),
  method(1, 'queue.bind', { ...common, queue: 'fuzz', exchange: 'fuzz', routingKey: '#' }),
  method(1, 'confirm.select', { nowait: false }),
  method(1, 'basic.publish', { ticket: 0, exchange: 'fuzz', routingKey: 'a.b', mandatory: true, immediate: false }),
  frame(FRAME.header, 1, Buffer.concat([content, writeProperties({ priority: 1, headers: EMPTY_TABLE })])),
  frame(FRAME.body, 1, Buffer.from('abc')),
  method(1, 'basic.consume', {
    ...common,
    queue: 'fuzz',
    consumerTag: 'c',
    noLocal: false,
    noAck: false,
    exclusive: false,
  }),
  method(1, 'basic.ack', { deliveryTag: 1, multiple: false }),
  method(1, 'basic.qos', { prefetchSize: 0, prefetchCount: 3, global: true }),
  method(1, 'basic.nack', { deliveryTag: 0, multiple: true, requeue: true }),
  method(1, 'basic.get', { ticket: 0, queue: 'fuzz', noAck: true }),
  method(1, 'queue.purge', { ticket: 0, queue: 'fuzz', nowait: false }),
];

/** Sends the bytes and ends; resolves when the broker has ended too. */
function send(bytes: Buffer, to = broker): Promise<void> {
  return new Promise((resolve) => {
    const socket = dial(to.port, '127.0.0.1', () => socket.end(bytes));
    socket.resume();
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
  });
}

async function stillServes(): Promise<void> {
  const connection = await connect(broker.url);
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  channel.sendToQueue(queue, Buffer.from('alive'));
  await channel.waitForConfirms();
  const message = await channel.get(queue, { noAck: true });
  expect(message ? message.content.toString() : undefined).toBe('alive');
  await connection.close();
  expect(failures).toEqual([]);
}

describe('hostile clients', () => {
  it('neither crash nor stop the broker with 100,000 damaged frames', async () => {
    let seed = 3;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const damage = (bytes: Buffer): Buffer => {
      const copy = Buffer.from(bytes);
      // Mostly inside the payload, so that the frame as such is read and what it says is what is wrong.
      const from = random(8) === 0 ? 0 : 7;
      for (let change = random(3); change >= 0; change--) copy[from + random(copy.length - from)] = random(256);
      return random(20) === 0 ? copy.subarray(0, random(copy.length)) : copy;
    };
    let frames = 0;
    const client = async (): Promise<void> => {
      while (frames < 100_000) {
        const hurt = Array.from({ length: 50 }, () => damage(session[random(session.length)] ?? HEADER));
        frames += hurt.length;
        const opening = random(10) === 0 ? handshake.map(damage) : handshake;
        await send(Buffer.concat([HEADER, ...opening, ...session.slice(0, random(session.length)), ...hurt]));
      }
    };
    await Promise.all(Array.from({ length: 8 }, client));
    await stillServes();
    expect(broker.connectionCount).toBe(0);
  });

  it('that promise a huge body and send none get no memory, and end with their socket', async () => {
    const before = process.memoryUsage().rss;
    const huge = Buffer.from(content);
    huge.writeUInt32BE(0x7fffffff, 4);
    const publish = session[4] ?? HEADER;
    const header = frame(FRAME.header, 1, Buffer.concat([huge, Buffer.from([0, 0])]));
    for (let i = 0; i < 200; i++) await send(Buffer.concat([HEADER, ...handshake, publish, header]));
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
    await stillServes();
  });

  it.each([
    ['2^63 - 1', { type: 'l', value: 2n ** 63n - 1n }, Number.MAX_SAFE_INTEGER],
    ['2^64 - 1', { type: 'L', value: 2n ** 64n - 1n }, Number.MAX_SAFE_INTEGER],
    ['-2^63', { type: 'l', value: -(2n ** 63n) }, 1],
  ] as const)(
    'that claim %s deaths of a message end no broker with it, however it dies',
    async (_what, count, counted) => {
      let now = 1_000_000;
      const timed = new EmbeddedBroker({ logger, clock: { now: () => now, monotonicMs: () => now } });
      await timed.start();
      try {
        const connection = await connect(timed.url);
        const channel = await connection.createConfirmChannel();
        await channel.assertQueue('dead');
        const toDead = { deadLetterExchange: '', deadLetterRoutingKey: 'dead' };
        const quorum = { 'x-queue-type': 'quorum', 'x-delivery-limit': 0 };
        await channel.assertQueue('expired', { ...toDead, messageTtl: 1000 });
        await channel.assertQueue('rejected', toDead);
        await channel.assertQueue('maxlen', { ...toDead, maxLength: 0 });
        await channel.assertQueue('delivery_limit', { ...toDead, durable: true, arguments: quorum });
        for (const reason of ['expired', 'rejected', 'maxlen', 'delivery_limit']) {
          const text = (value: string): Field => ({ type: 'S', value });
          const death = new Map<string, Field>([
            ['queue', text(reason)],
            ['reason', text(reason)],
            ['count', count],
          ]);
          const headers = new Map<string, Field>([['x-death', { type: 'A', value: [{ type: 'F', value: death }] }]]);
          const publish = { ticket: 0, exchange: '', routingKey: reason, mandatory: true, immediate: false };
          const message = [
            method(1, 'basic.publish', publish),
            frame(FRAME.header, 1, Buffer.concat([content, writeProperties({ headers })])),
            frame(FRAME.body, 1, Buffer.from('abc')),
          ];
          const refusal = [
            method(1, 'basic.get', { ticket: 0, queue: reason, noAck: false }),
            method(1, 'basic.reject', { deliveryTag: 1, requeue: reason === 'delivery_limit' }),
          ];
          const isRefused = reason === 'rejected' || reason === 'delivery_limit';
          await send(Buffer.concat([HEADER, ...handshake, ...message, ...(isRefused ? refusal : [])]), timed);
          if (reason === 'expired') {
            now += 1000;
            timed.clockMoved();
          }
          const dead = await channel.get('dead', { noAck: true });
          const deaths = dead ? dead.properties.headers?.['x-death'] : undefined;
          expect(deaths).toMatchObject([{ queue: reason, reason, count: counted }]);
        }
        await connection.close();
        expect(failures).toEqual([]);
      } finally {
        await timed.stop();
      }
    },
  );

  it.each([
    ['another protocol', 'GET / HTTP/1.1\r\n\r\n'],
    ['half a header', 'AMQ'],
    ['nothing', ''],
  ])('that say %s are hung up', async (_what, text) => {
    await send(Buffer.from(text, 'latin1'));
    await stillServes();
  });
});
