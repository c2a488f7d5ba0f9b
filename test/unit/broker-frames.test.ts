import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { IncomingMessage } from '../../src/broker/frames/content.ts';
import { UnreadableFrameError } from '../../src/broker/frames/field-reader.ts';
import { FieldTooLargeError } from '../../src/broker/frames/field-writer.ts';
import { FrameReader } from '../../src/broker/frames/frame-reader.ts';
import { FrameWriter } from '../../src/broker/frames/frame-writer.ts';
import { checkMessage } from '../../src/broker/message-check.ts';
import type { HeaderValue, Message, MessageProperties } from '../../src/message/message.ts';
import { amqplibCodec } from '../support/amqplib-codec.ts';
import { contentHeader, frame, methodFrame } from '../support/raw-amqp.ts';
import { field, header, nestedTable } from '../support/raw-headers.ts';

const OURS = 3;
const FOREIGN = 4;
const HEARTBEAT = frame(8, 0, Buffer.alloc(0));

const text = fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: 'binary', maxLength: 60 }));
const whole = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(
    -129,
    -128,
    127,
    128,
    -32_769,
    -32_768,
    32_767,
    32_768,
    2 ** 31 - 1,
    2 ** 31,
    -(2 ** 31) - 1,
    2 ** 50,
  ),
);
const { value } = fc.letrec<{ value: HeaderValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    whole,
    fc.double({ noNaN: true, min: -(2 ** 49), max: 2 ** 49 }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ maxLength: 12 }).filter(isName), tie('value'), { maxKeys: 4 }),
    fc.nat().map((at) => ({ '!': 'timestamp', value: at })),
    fc.nat(255).map((places) => ({ '!': 'decimal', value: { places, digits: 4_000_000_000 } })),
    fc.constantFrom('int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'float64').map((type) => ({
      '!': type,
      value: 100,
    })),
  ),
}));
const given = <T>(what: fc.Arbitrary<T>) => fc.option(what, { nil: undefined });
const properties: fc.Arbitrary<MessageProperties> = fc.record({
  contentType: given(text),
  contentEncoding: given(text),
  headers: given(fc.dictionary(fc.string({ maxLength: 12 }).filter(isName), value, { maxKeys: 6 })),
  deliveryMode: given(fc.constantFrom(1, 2)),
  priority: given(fc.nat(255)),
  correlationId: given(text),
  replyTo: given(text),
  expiration: given(fc.constantFrom('1', '60000')),
  messageId: fc.uuid(),
  // The last two are of 64 bits, as nanoseconds are.
  timestamp: given(fc.oneof(fc.maxSafeInteger().map(Math.abs), fc.constantFrom(2 ** 53, 2 ** 64 - 2 ** 11))),
  type: given(text),
  userId: given(text),
  appId: given(text),
});
const name = fc.oneof(fc.constantFrom('orders', 'create.order.3'), text);
const body = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.nat(20_000).map((size) => new Uint8Array(size).fill(size)),
);
const message: fc.Arbitrary<Message> = fc.record({ exchange: name, routingKey: name, body, properties });

/** Names with these have meanings of their own, here or in amqplib. */
function isName(text: string): boolean {
  return text !== '__proto__' && text !== '!';
}

class Written {
  readonly #sink = new PassThrough({ highWaterMark: 2 ** 30 });
  readonly writer: FrameWriter;

  constructor(maxFrameBytes: number) {
    this.writer = new FrameWriter(this.#sink as unknown as Socket, maxFrameBytes);
  }

  /** Of amqplib's own accord, from a timer: at once, behind whatever the socket has been given. */
  heartbeat(): void {
    this.#sink.write(HEARTBEAT);
  }

  async bytes(): Promise<Buffer> {
    this.writer.flush();
    // What is corked goes out with the turn.
    await new Promise((resolve) => setImmediate(resolve));
    return (this.#sink.read() as Buffer | null) ?? Buffer.alloc(0);
  }
}

const publish = (writer: FrameWriter, sent: Message): void =>
  writer.publish(OURS, checkMessage(sent, Number.MAX_SAFE_INTEGER));

/** Of a frame: less than the largest bodies of the arbitrary messages have. */
const ROOM = 16 * 1024;

/** As amqplib's own writer has it. */
function byAmqplib(sent: Message, maxFrameBytes: number): Buffer {
  const { BasicPublish, encodeMethod } = amqplibCodec;
  const { exchange, routingKey, body: content } = sent;
  const method = encodeMethod(BasicPublish, OURS, { exchange, routingKey, mandatory: true });
  return Buffer.concat([method, headerFrame(sent), ...bodyFrames(OURS, Buffer.from(content), maxFrameBytes - 8)]);
}

function headerFrame({ body: content, properties: all }: Message): Buffer {
  const { BasicProperties, encodeProperties } = amqplibCodec;
  return encodeProperties(BasicProperties, OURS, content.length, { ...all, headers: all.headers ?? {} });
}

/** @throws when they are none, one behind the other */
function framesIn(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 7 + bytes.readUInt32BE(at + 3);
    if (bytes[end] !== 0xce) throw new Error(`the frame at ${at} does not end where it says`);
    frames.push(bytes.subarray(at, end + 1));
    at = end + 1;
  }
  return frames;
}

function bodyFrames(channel: number, content: Buffer, room: number): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < content.length; at += room) frames.push(frame(3, channel, content.subarray(at, at + room)));
  return frames;
}

interface Delivered {
  readonly tag: number;
  readonly sent: Message;
}

function deliveryFrames(channel: number, { tag, sent }: Delivered, room: number): Buffer[] {
  const { BasicDeliver, BasicProperties, encodeMethod, encodeProperties } = amqplibCodec;
  const { exchange, routingKey, body: content, properties: all } = sent;
  const fields = { consumerTag: 'c', deliveryTag: tag, redelivered: tag % 2 === 1, exchange, routingKey };
  const method = encodeMethod(BasicDeliver, channel, fields);
  const head = encodeProperties(BasicProperties, channel, content.length, { ...all, headers: all.headers ?? {} });
  return [method, head, ...bodyFrames(channel, Buffer.from(content), room)];
}

/** What the reader makes of a stream that comes in pieces: what is for amqplib, and what took effect, in its order. */
class Reading {
  readonly reader = new FrameReader(0);
  readonly messages: IncomingMessage[] = [];
  readonly events: string[] = [];
  readonly foreign: Buffer[] = [];

  constructor() {
    this.reader.take(OURS, {
      onDelivery: (incoming) => {
        this.messages.push(incoming);
        this.events.push(`delivery ${incoming.deliveryTag}`);
      },
      onReturn: (incoming) => this.events.push(`return ${incoming.routingKey}`),
      onConfirm: (tag, isMultiple, isAck) =>
        this.events.push(`${isAck ? 'ack' : 'nack'} ${tag}${isMultiple ? ' multiple' : ''}`),
    });
  }

  read(chunk: Buffer): void {
    this.reader.push(chunk);
    for (let seen = this.reader.next(); seen; seen = this.reader.next()) this.foreign.push(Buffer.from(seen));
  }
}

describe('what is written', () => {
  test('is to the byte what amqplib writes, whatever the properties, the headers and the size', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 5 }), async (all) => {
        const written = new Written(ROOM);
        const fitting = all.filter((sent) => headerFrame(sent).length <= ROOM);
        for (const sent of fitting) publish(written.writer, sent);
        const expected = Buffer.concat(fitting.map((sent) => byAmqplib(sent, ROOM)));
        expect((await written.bytes()).equals(expected)).toBe(true);
      }),
    );
  });

  test('what amqplib writes of its own accord comes between two frames, whatever was written before it in that turn', async () => {
    const size = fc.oneof(
      fc.nat(300),
      fc.integer({ min: 15_000, max: 18_000 }),
      fc.integer({ min: 60_000, max: 70_000 }),
    );
    const step = fc.oneof(size, fc.constant('ack' as const));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.constantFrom(4096, 131_072), async (steps, room) => {
        const written = new Written(room);
        const expected: Buffer[] = [];
        for (const one of steps) {
          if (one === 'ack') {
            written.writer.ack(OURS, 7, true);
            expected.push(methodFrame(OURS, 'basic.ack', { deliveryTag: 7, multiple: true }));
          } else {
            const sent: Message = {
              exchange: 'e',
              routingKey: 'k',
              body: Buffer.alloc(one, 8),
              properties: { messageId: 'm' },
            };
            publish(written.writer, sent);
            expected.push(byAmqplib(sent, room));
          }
          written.heartbeat();
        }
        const frames = framesIn(await written.bytes());
        const ours = frames.filter((one) => !one.equals(HEARTBEAT));
        expect(frames.length - ours.length).toBe(steps.length);
        expect(Buffer.concat(ours).equals(Buffer.concat(expected))).toBe(true);
      }),
    );
  });

  test('a content header that fits into no frame is refused with nothing written: the broker would end the connection', async () => {
    const written = new Written(4096);
    const sent = (length: number): Message => ({
      exchange: '',
      routingKey: 'q',
      body: Buffer.from('1'),
      properties: { messageId: 'm', headers: { h: 'x'.repeat(length) } },
    });
    const most = 4096 - headerFrame(sent(0)).length;
    publish(written.writer, sent(most));
    expect(() => publish(written.writer, sent(most + 1))).toThrow(FieldTooLargeError);
    expect((await written.bytes()).equals(byAmqplib(sent(most), 4096))).toBe(true);
  });

  test('a body of which no frame is copied arrives whole, between the frames around it', async () => {
    const written = new Written(131_072);
    const all = [1, 16_384, 16_385, 131_064, 131_065, 400_000].map(
      (size): Message => ({
        exchange: 'e',
        routingKey: 'k',
        body: Buffer.alloc(size, size % 251),
        properties: { messageId: `m${size}` },
      }),
    );
    for (const sent of all) publish(written.writer, sent);
    written.writer.ack(OURS, 7, true);
    written.writer.reject(OURS, 2 ** 40 + 1);
    const settled = [
      methodFrame(OURS, 'basic.ack', { deliveryTag: 7, multiple: true }),
      methodFrame(OURS, 'basic.reject', { deliveryTag: 2 ** 40 + 1, requeue: true }),
    ];
    const expected = Buffer.concat([...all.map((sent) => byAmqplib(sent, 131_072)), ...settled]);
    expect((await written.bytes()).equals(expected)).toBe(true);
  });

  test.each<[string, MessageProperties]>([
    ['text that is too long', { contentType: 'é'.repeat(128) }],
    ['a name of a header that is too long', { headers: { ['x'.repeat(256)]: 1 } }],
    ['no text where text belongs', { type: 5 as unknown as string }],
    ['an octet that is none', { priority: 256 }],
    ['half a second', { timestamp: 0.5 }],
    ['a function', { headers: { f: (() => undefined) as unknown as string } }],
    ['no number', { headers: { n: Number.NaN } }],
    ['a type of its own', { headers: { t: { '!': 'nonsense', value: 1 } } }],
  ])('%s is refused, and the message before and after it is written', async (_what, bad) => {
    const written = new Written(4096);
    const good: Message = { exchange: 'e', routingKey: 'k', body: Buffer.from('1'), properties: { messageId: 'm' } };
    publish(written.writer, good);
    expect(() => publish(written.writer, { ...good, properties: { ...bad, messageId: 'm' } })).toThrow();
    publish(written.writer, good);
    const expected = Buffer.concat([byAmqplib(good, 4096), byAmqplib(good, 4096)]);
    expect((await written.bytes()).equals(expected)).toBe(true);
  });

  test('headers up to 64 KiB are written, and one byte more is refused', async () => {
    // The size, the name's length and name, the type and the text's length.
    const fits = 'x'.repeat(64 * 1024 - (4 + 2 + 1 + 4));
    const written = new Written(0);
    const sent = (headerText: string): Message => ({
      exchange: '',
      routingKey: 'q',
      body: Buffer.alloc(0),
      properties: { messageId: 'm', headers: { h: headerText } },
    });
    publish(written.writer, sent(fits));
    expect(() => publish(written.writer, sent(`${fits}x`))).toThrow(FieldTooLargeError);
    expect(() => publish(written.writer, sent('é'.repeat(60_000)))).toThrow(FieldTooLargeError);
    expect((await written.bytes()).equals(byAmqplib(sent(fits), 2 ** 30))).toBe(true);
  });
});

describe('what is read', () => {
  test('is what amqplib reads, however the stream is cut, and what is not ours reaches amqplib unchanged', () => {
    const delivery = fc.record({ tag: fc.nat(), sent: message });
    const part = fc.oneof(
      fc.record({ kind: fc.constant('ours' as const), delivery }),
      fc.record({ kind: fc.constant('foreign' as const), delivery }),
      fc.record({ kind: fc.constant('heartbeat' as const), delivery }),
    );
    const sizes = fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 30_000 })));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), sizes, fc.constantFrom(100, 4088, 131_064), (parts, cut, room) => {
        const reading = new Reading();
        const stream: Buffer[] = [];
        const foreign: Buffer[] = [];
        const ours: Delivered[] = [];
        for (const { kind, delivery: delivered } of parts) {
          const channel = kind === 'ours' ? OURS : FOREIGN;
          const frames =
            kind === 'heartbeat' ? [frame(8, 0, Buffer.alloc(0))] : deliveryFrames(channel, delivered, room);
          stream.push(...frames);
          if (kind === 'ours') ours.push(delivered);
          else foreign.push(...frames);
        }
        const all = Buffer.concat(stream);
        for (let at = 0; at < all.length; ) {
          const size = cut.next().value as number;
          reading.read(Buffer.from(all.subarray(at, at + size)));
          at += size;
        }
        expect(Buffer.concat(reading.foreign).equals(Buffer.concat(foreign))).toBe(true);
        expect(reading.messages).toEqual(ours.map((delivered) => asAmqplibReads(delivered)));
      }),
    );
  });

  test('frames take effect in the order in which they come, ours and those of amqplib', () => {
    const reading = new Reading();
    const flow = methodFrame(OURS, 'channel.flow', { active: true });
    const sent: Message = { exchange: 'e', routingKey: 'k', body: Buffer.from('1'), properties: { messageId: 'm' } };
    const returned = { replyCode: 312, replyText: 'NO_ROUTE', exchange: 'e', routingKey: 'k' };
    reading.reader.push(
      Buffer.concat(
        [
          ...deliveryFrames(OURS, { tag: 1, sent }, 100),
          flow,
          methodFrame(OURS, 'basic.return', returned),
          contentHeader(0),
          methodFrame(OURS, 'basic.ack', { deliveryTag: 1, multiple: false }),
          methodFrame(OURS, 'basic.nack', { deliveryTag: 9, multiple: true, requeue: false }),
          flow,
        ].map((bytes) => (bytes.length === 14 ? frame(2, OURS, bytes) : bytes)),
      ),
    );
    expect(reading.reader.next()?.equals(flow)).toBe(true);
    expect(reading.events).toEqual(['delivery 1']);
    expect(reading.reader.next()?.equals(flow)).toBe(true);
    expect(reading.events).toEqual(['delivery 1', 'return k', 'ack 1', 'nack 9 multiple']);
    expect(reading.reader.next()).toBeUndefined();
  });

  test('a channel that has closed is left to amqplib', () => {
    const reading = new Reading();
    reading.reader.leave(OURS);
    const ack = methodFrame(OURS, 'basic.ack', { deliveryTag: 1, multiple: false });
    reading.read(ack);
    expect(reading.events).toEqual([]);
    expect(Buffer.concat(reading.foreign).equals(ack)).toBe(true);
  });

  test('a header called __proto__ is left out, in a table within a table as well', () => {
    const inner = field('__proto__', 't', Buffer.from([1]));
    const size = Buffer.alloc(4);
    size.writeUInt32BE(inner.length);
    const entries = Buffer.concat([
      field('in', 'F', Buffer.concat([size, inner])),
      inner,
      field('a', 't', Buffer.from([1])),
    ]);
    expect(headersOf(header(0, entries, true))).toEqual({ in: {}, a: true });
  });

  test.each([200, 5_000, 18_000])('tables nested %i deep are bytes from a hundred on', (depth) => {
    let level = headersOf(header(0, nestedTable('deep', depth), true)) as Record<string, unknown>;
    let levels = 1;
    while (!Buffer.isBuffer(level.deep)) {
      level = level.deep as Record<string, unknown>;
      levels += 1;
    }
    expect(levels).toBe(100);
  });

  const good: Message = { exchange: 'e', routingKey: 'k', body: Buffer.from('body'), properties: { messageId: 'm' } };
  const [method, head, content] = deliveryFrames(OURS, { tag: 1, sent: good }, 100) as [Buffer, Buffer, Buffer];
  const withByte = (bytes: Buffer, at: number, byte: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[at < 0 ? copy.length + at : at] = byte;
    return copy;
  };
  test.each<[string, Buffer[]]>([
    ['a method that ends elsewhere', [withByte(method, -1, 0)]],
    ['a header that ends elsewhere', [method, withByte(head, -1, 0)]],
    ['a body that ends elsewhere', [method, head, withByte(content, -1, 0)]],
    ['a method cut short', [frame(1, OURS, method.subarray(7, 12))]],
    ['a header cut short', [method, frame(2, OURS, head.subarray(7, 12))]],
    ['a table longer than its frame', [method, frame(2, OURS, header(4, Buffer.from([0, 0, 1, 0])))]],
    ['a value of no known type', [method, frame(2, OURS, header(4, field('a', '?', Buffer.alloc(1)), true))]],
    ['a message within a message', [method, method]],
    ['a body longer than its header says', [method, head, frame(3, OURS, Buffer.alloc(5))]],
    ['a body before its header', [method, content]],
    ['two headers', [method, head, head]],
  ])('%s ends the connection with an error, and nothing takes effect', (_what, frames) => {
    const reading = new Reading();
    expect(() => reading.read(Buffer.concat(frames))).toThrow(UnreadableFrameError);
    expect(reading.events).toEqual([]);
  });

  test('a frame over the size that was agreed upon is an error before it has come whole', () => {
    const reader = new FrameReader(4096);
    reader.take(OURS, {});
    const huge = Buffer.from(method);
    huge.writeUInt32BE(4097, 3);
    reader.push(huge);
    expect(() => reader.next()).toThrow(UnreadableFrameError);
  });

  test('rubbish is an error or waits for more, and never something else', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 5 }), fc.nat(3), (all, kind) => {
        const reading = new Reading();
        try {
          reading.read(Buffer.concat([method, ...all.map((bytes) => frame(kind, OURS, Buffer.from(bytes)))]));
        } catch (error) {
          expect(error).toBeInstanceOf(UnreadableFrameError);
        }
      }),
    );
  });
});

function asAmqplibReads({ tag, sent }: Delivered): IncomingMessage {
  const { exchange, routingKey, body: content, properties: all } = sent;
  const { BasicProperties, encodeProperties, decode } = amqplibCodec;
  const encoded = encodeProperties(BasicProperties, OURS, content.length, { ...all, headers: all.headers ?? {} });
  const { clusterId: _none, ...read } = decode(BasicProperties, encoded.subarray(7 + 12, -1));
  return {
    exchange,
    routingKey,
    deliveryTag: tag,
    redelivered: tag % 2 === 1,
    properties: read as MessageProperties,
    body: Buffer.from(content),
  };
}

function headersOf(contentHeaderBytes: Buffer): unknown {
  const reading = new Reading();
  const sent: Message = { exchange: 'e', routingKey: 'k', body: Buffer.alloc(0), properties: {} };
  const [method] = deliveryFrames(OURS, { tag: 1, sent }, 100) as [Buffer];
  reading.read(Buffer.concat([method, frame(2, OURS, contentHeaderBytes)]));
  return reading.messages[0]?.properties.headers;
}
