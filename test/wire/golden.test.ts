import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CallId,
  callResponseKey,
  decodeCall,
  decodeCallResponse,
  encodeCall,
  encodeCallResponse,
} from '../../src/wire/call.ts';
import { decodeCommand, encodeCommand } from '../../src/wire/command.ts';
import { decodeEvent, encodeEvent } from '../../src/wire/event.ts';
import { decodeJson } from '../../src/wire/json.ts';

interface Recorded {
  readonly exchange: string;
  readonly routing_key: string;
  readonly body: string;
}
const recorded = (name: string): Recorded =>
  JSON.parse(readFileSync(new URL(`./recorded/${name}.json`, import.meta.url), 'utf8'));
const parsed = (name: string): unknown => decodeJson(Buffer.from(recorded(name).body));

/** The Python peer's reading rule: strptime with `%Y-%m-%dT%H:%M:%S.%fZ`. */
const PEER_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{1,6}Z$/;

describe('messages recorded from a running Python peer', () => {
  test('an event with the mixed snake_case envelope and a numeric id is read, its payload not re-cased', () => {
    const { event, payload } = decodeEvent(parsed('event'));
    expect(event).toEqual({
      eventId: '4',
      eventTime: new Date('2026-11-22T10:36:59.734Z'),
      eventType: 'update.base',
      aggregate: 'user',
    });
    expect(payload).toEqual({ nested: { lastSeenAt: '2026-01-01' }, userId: 0, firstName: 'Ann' });
  });

  test('an event as its README documents it is read, microseconds cut to milliseconds', () => {
    const { event, payload } = decodeEvent(parsed('event-documented'));
    expect(event.eventId).toBe('2');
    expect(event.eventTime.toISOString()).toBe('2023-06-02T10:58:58.340Z');
    expect(payload).toEqual({ userId: 1 });
  });

  test('a command is read: meta taken out, the deadline a date', () => {
    const command = decodeCommand(parsed('command'));
    expect(command.arguments).toEqual({ phoneNumber: '998990000000', text: 'Hello' });
    expect(command.deadline).toEqual(new Date('2026-11-22T10:37:08.603Z'));
  });

  test('a call is read, its numeric id kept a number', () => {
    expect(decodeCall(parsed('call'))).toEqual({
      id: 6,
      replyTo: 'replies',
      time: new Date('2026-11-22T10:37:06.078Z'),
      deadline: new Date('2026-11-22T10:37:36.078Z'),
      data: { number: 21 },
    });
  });

  test('a call response is read, and its routing key is the one we would use', () => {
    expect(decodeCallResponse(parsed('call-response'))).toEqual({
      id: 6,
      time: new Date('2026-11-22T10:37:06.508Z'),
      data: { result: 42 },
    });
    expect(recorded('call-response').routing_key).toBe(callResponseKey('py-shop', 'double'));
  });
});

test('a call’s replyTo may be missing or null; what is no text is refused', () => {
  const read = (replyTo: object) =>
    decodeCall({ id: 1, meta: { ...replyTo, time: '2026-11-22T10:00:00Z' }, data: {} }).replyTo;
  expect([read({}), read({ replyTo: null }), read({ reply_to: 'r' })]).toEqual(['', '', 'r']);
  expect(() => read({ replyTo: 7 })).toThrow(/replyTo is no string/);
});

describe('ids beyond 2^53', () => {
  const call = (id: string, before = '') =>
    decodeCall(
      decodeJson(
        Buffer.from(`{${before}"id" : ${id} ,"meta":{"replyTo":"r","time":"2026-11-22T10:00:00Z"},"data":{"id":1}}`),
      ),
    );

  test.each([
    ['9007199254740993', ''],
    ['12345678901234567890123', ''],
    ['-9007199254740993', '"other":{"id":5},"text":"\\"id\\":7","id":1,"list":[{"id":6}],'],
  ])('a call’s %s comes back in its answer digit by digit', (id, before) => {
    const read = call(id, before);
    const answer = encodeCallResponse({ id: read.id, time: new Date(0), data: null });
    expect(answer.startsWith(`{"id":${id},`)).toBe(true);
    expect(decodeCallResponse(decodeJson(Buffer.from(answer))).id).toBe(BigInt(id));
  });

  test('an event’s is text, in either case of its name', () => {
    const rest = '"eventTime":"2026-11-22T10:00:00Z","eventType":"t","aggregate":"a","payload":1';
    for (const idName of ['eventId', 'event_id', 'event\\u0049d']) {
      const body = decodeJson(Buffer.from(`{${rest},"${idName}":9007199254740993}`));
      expect(decodeEvent(body).event.eventId).toBe('9007199254740993');
    }
  });

  test('what is no integer stays what JSON.parse makes of it', () => {
    expect(call('1.5').id).toBe(1.5);
    expect(call('1e30').id).toBe(1e30);
    expect(call('"9007199254740993"').id).toBe('9007199254740993');
  });
});

describe('what we write', () => {
  test('an event is exactly the documented envelope', () => {
    const body = encodeEvent({
      eventId: '0193a0c0-0000-7000-8000-000000000001',
      eventTime: new Date('2026-11-23T10:00:00Z'),
      eventType: 'update.base',
      aggregate: 'user',
      payload: { user_id: 1, nestedKey: 'ä' },
    });
    expect(body).toBe(
      '{"eventId":"0193a0c0-0000-7000-8000-000000000001","eventTime":"2026-11-23T10:00:00.000Z",' +
        '"eventType":"update.base","aggregate":"user","payload":{"user_id":1,"nestedKey":"ä"}}',
    );
  });

  test('a command, a call and its answer are exactly the documented shapes', () => {
    const deadline = new Date('2026-11-23T10:00:30Z');
    const time = new Date('2026-11-23T10:00:00.5Z');
    expect(encodeCommand({ arguments: { phone: '1' }, deadline })).toBe(
      '{"phone":"1","meta":{"expiredTime":"2026-11-23T10:00:30.000Z"}}',
    );
    expect(encodeCommand({ arguments: {}, deadline: undefined })).toBe('{"meta":{}}');
    expect(encodeCall({ id: 6, replyTo: 'replies', time, deadline, data: { number: 21 } })).toBe(
      '{"id":6,"meta":{"replyTo":"replies","time":"2026-11-23T10:00:00.500Z",' +
        '"expiredTime":"2026-11-23T10:00:30.000Z"},"data":{"number":21}}',
    );
    expect(encodeCallResponse({ id: 6, time, data: { result: 42 } })).toBe(
      '{"id":6,"data":{"result":42},"meta":{"time":"2026-11-23T10:00:00.500Z"}}',
    );
  });

  const jsonValue = fc.jsonValue({ maxDepth: 5, noUnicodeString: false });
  const text = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 30 })
    .filter((s) => Buffer.from(s).toString() === s);
  const time = fc.date({
    min: new Date('0001-01-02T00:00:00Z'),
    max: new Date('9998-12-30T00:00:00Z'),
    noInvalidDate: true,
  });
  const id = fc.oneof(fc.uuid(), fc.integer({ min: 0 })) as fc.Arbitrary<CallId>;
  const through = (body: string): unknown => decodeJson(Buffer.from(body));
  // JSON has one zero, and `__proto__` is refused on both sides.
  const carried = (value: unknown): boolean => !JSON.stringify(value).includes('proto') && !hasNegativeZero(value);
  const hasNegativeZero = (value: unknown): boolean =>
    Object.is(value, -0) || (typeof value === 'object' && value !== null && Object.values(value).some(hasNegativeZero));

  test('whatever is written as an event is read back the same, with times that the Python peer reads', () => {
    fc.assert(
      fc.property(
        fc.uuid(),
        time,
        text,
        text,
        jsonValue.filter(carried),
        (eventId, eventTime, eventType, aggregate, payload) => {
          const body = encodeEvent({ eventId, eventTime, eventType, aggregate, payload });
          expect(JSON.parse(body).eventTime).toMatch(PEER_TIME);
          expect(decodeEvent(through(body))).toEqual({ event: { eventId, eventTime, eventType, aggregate }, payload });
        },
      ),
    );
  });

  test('whatever is written as a call or an answer is read back the same, with times that the Python peer reads', () => {
    fc.assert(
      fc.property(
        id,
        text,
        time,
        fc.option(time, { nil: undefined }),
        jsonValue.filter(carried),
        (callId, replyTo, at, deadline, data) => {
          const call = { id: callId, replyTo, time: at, deadline, data };
          const body = encodeCall(call);
          expect(decodeCall(through(body))).toEqual(call);
          const { meta } = JSON.parse(body);
          expect(meta.time).toMatch(PEER_TIME);
          if (deadline) expect(meta.expiredTime).toMatch(PEER_TIME);
          const response = { id: callId, time: at, data };
          const answer = encodeCallResponse(response);
          expect(decodeCallResponse(through(answer))).toEqual(response);
          expect(JSON.parse(answer).meta.time).toMatch(PEER_TIME);
          const failed = { id: callId, time: at, data: null, error: { code: replyTo, message: replyTo } };
          expect(decodeCallResponse(through(encodeCallResponse(failed)))).toEqual(failed);
        },
      ),
    );
  });

  test('whatever is written as a command is read back the same, with a deadline that the Python peer reads', () => {
    const argumentsOf = fc.dictionary(
      fc.string().filter((key) => key !== 'meta' && key !== '__proto__'),
      jsonValue,
    );
    fc.assert(
      fc.property(argumentsOf.filter(carried), fc.option(time, { nil: undefined }), (args, deadline) => {
        const command = { arguments: { ...args }, deadline };
        const body = encodeCommand(command);
        expect(decodeCommand(through(body))).toEqual(command);
        if (deadline) expect(JSON.parse(body).meta.expiredTime).toMatch(PEER_TIME);
      }),
    );
  });
});
