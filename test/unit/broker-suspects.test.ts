import { describe, expect, test } from 'vitest';
import { checkMessage } from '../../src/broker/message-check.ts';
import { type PublishEntry, publishEntry } from '../../src/broker/publish-entry.ts';
import { exchangeInError, findGuilty, isChargeable } from '../../src/broker/suspects.ts';

const entry = (exchange: string): PublishEntry => {
  const message = { exchange, routingKey: 'k', body: Buffer.from('x'), properties: {} };
  return publishEntry(checkMessage(message, 100), () => undefined, 1_000);
};

const closed = (code: number, text: string) =>
  Object.assign(new Error(`Channel closed by server: ${code} (X) with message "${text}"`), { code });

const missing = (exchange: string) => closed(404, `NOT_FOUND - no exchange '${exchange}' in vhost '/'`);
const wrongUser = closed(406, "PRECONDITION_FAILED - user_id property set to 'a' but authenticated user was 'b'");

describe('the guilty publish', () => {
  test('is read from the error where it names an exchange that one message has', () => {
    const entries = ['a', 'b', 'c'].map(entry);
    expect(findGuilty(entries, missing('b'), false)).toBe(entries[1]);
    expect(entries.some(({ isSuspect }) => isSuspect)).toBe(false);
  });

  test('is one of the suspects where several have the exchange', () => {
    const entries = ['a', 'b', 'b', 'c'].map(entry);
    expect(findGuilty(entries, missing('b'), false)).toBeUndefined();
    expect(entries.map(({ isSuspect }) => isSuspect)).toEqual([false, true, true, false]);
  });

  test('is one of all where the error names none', () => {
    const entries = ['a', 'b'].map(entry);
    expect(findGuilty(entries, wrongUser, true)).toBeUndefined();
    expect(entries.map(({ isSuspect }) => isSuspect)).toEqual([true, true]);
  });

  test('is the only one there was', () => {
    const only = entry('a');
    expect(findGuilty([only], wrongUser, true)).toBe(only);
  });

  test('is not charged for a missing exchange before it was looked at again', () => {
    const only = entry('a');
    expect(findGuilty([only], missing('a'), true)).toBeUndefined();
    expect(only).toMatchObject({ isSuspect: false, isRechecked: true });
    expect(findGuilty([only], missing('a'), true)).toBe(only);
  });

  test('is looked for only after errors that a message causes', () => {
    expect([404, 403, 406].every((code) => isChargeable(closed(code, 'X - y')))).toBe(true);
    expect([541, 320, 504].some((code) => isChargeable(closed(code, 'X - y')))).toBe(false);
    expect(isChargeable(new Error('channel closed'))).toBe(false);
  });

  test.each([
    ["NOT_FOUND - no exchange 'user' in vhost '/'", 'user'],
    ["NOT_FOUND - no exchange 'it's' in vhost 'a'", "it's"],
    ["ACCESS_REFUSED - access to exchange 'user' in vhost '/' refused for user 'u'", 'user'],
    ["ACCESS_REFUSED - access to topic 'a.b' in exchange 'user' in vhost '/' refused for user 'u'", 'user'],
    ['PRECONDITION_FAILED - invalid expiration', undefined],
  ])('%s names %s', (text, exchange) => {
    expect(exchangeInError(closed(404, text))).toBe(exchange);
  });
});
