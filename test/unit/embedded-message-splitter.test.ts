import { expect, it } from 'vitest';
import { message } from '../../src/embedded/database/backend-messages.ts';
import { MalformedMessage, MessageSplitter } from '../../src/embedded/database/message-splitter.ts';

const split = (splitter: MessageSplitter, chunk: Buffer) =>
  [...splitter.push(chunk)].map(({ type, bytes }) => [type, bytes.subarray(5).toString()]);

it('cuts messages out of pieces of any size', () => {
  const bytes = Buffer.concat([message('Q', Buffer.from('first')), message('S'), message('d', Buffer.from('third'))]);
  const expected = [
    ['Q', 'first'],
    ['S', ''],
    ['d', 'third'],
  ];
  for (let size = 1; size <= bytes.length; size += 1) {
    const splitter = new MessageSplitter();
    const got: string[][] = [];
    for (let at = 0; at < bytes.length; at += size) got.push(...split(splitter, bytes.subarray(at, at + size)));
    expect(got).toEqual(expected);
  }
});

it('copies a message that comes in many pieces twice at most', () => {
  const body = Buffer.alloc(1024 * 1024, 'x');
  const bytes = message('d', body);
  const splitter = new MessageSplitter();
  const concat = Buffer.concat;
  let copied = 0;
  Buffer.concat = (list, total) => {
    const whole = concat(list, total);
    copied += whole.length;
    return whole;
  };
  try {
    const got: string[][] = [];
    for (let at = 0; at < bytes.length; at += 1024) got.push(...split(splitter, bytes.subarray(at, at + 1024)));
    expect(got).toEqual([['d', body.toString()]]);
  } finally {
    Buffer.concat = concat;
  }
  expect(copied).toBeLessThan(2 * bytes.length + 1024);
});

it.each([3, 0, -1, 101])('refuses a message of %i bytes where at least 4 and at most 100 are possible', (length) => {
  const head = Buffer.alloc(5, 'Q');
  head.writeInt32BE(length, 1);
  expect(() => [...new MessageSplitter(100).push(head)]).toThrow(MalformedMessage);
});
