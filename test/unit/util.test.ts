import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InvalidArgumentError } from '../../src/errors.ts';
import { backoffMs, RECONNECT_BACKOFF } from '../../src/util/backoff.ts';
import { type Duration, durationMs } from '../../src/util/duration.ts';
import { maskJson, maskUrl, maskWholeUrl } from '../../src/util/mask.ts';
import { sleep } from '../../src/util/sleep.ts';

describe('backoff', () => {
  test('stays above 0 and below the doubling ceiling and the maximum, for every attempt and draw', () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, draw) => {
        const ms = backoffMs(attempt, RECONNECT_BACKOFF, () => draw);
        const ceiling = Math.min(RECONNECT_BACKOFF.maxMs, RECONNECT_BACKOFF.initialMs * 2 ** Math.min(attempt, 30));
        expect(ms).toBeGreaterThanOrEqual(1);
        expect(ms).toBeLessThanOrEqual(ceiling);
      }),
    );
  });
});

describe('durations', () => {
  test.each<[Duration, number]>([
    ['500ms', 500],
    ['5s', 5000],
    ['2m', 120_000],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
    [250, 250],
  ])('%s is %d ms', (given, ms) => expect(durationMs(given)).toBe(ms));

  test('a number is in the unit that the option says', () => expect(durationMs(30, 'timeout', 's')).toBe(30_000));

  test.each(['5', '5 s', '-1s', '', Number.NaN, -1, Number.POSITIVE_INFINITY])('%s is refused', (given) => {
    expect(() => durationMs(given as Duration, 'delay')).toThrow(InvalidArgumentError);
  });
});

describe('masking', () => {
  test('hides passwords in every URL of a text, and nothing else', () => {
    expect(maskUrl('amqp://u:p%40ss@h:5672/v and postgres://a:b@c/d?password=x&sslmode=require')).toBe(
      'amqp://u:***@h:5672/v and postgres://a:***@c/d?password=***&sslmode=require',
    );
    expect(maskUrl('http://h:80/a?b=c amqp://guest@h')).toBe('http://h:80/a?b=c amqp://guest@h');
  });

  const names = ['access_token', 'refresh_token', 'api_key', 'apikey', 'client_secret', 'sig', 'X-Amz-Signature'];
  test.each(names)('hides the value of %s, and shows those beside it', (name) => {
    expect(maskUrl(`https://h/p?a=1&${name}=c4n4ry&b=2`)).toBe(`https://h/p?a=1&${name}=***&b=2`);
    expect(maskUrl(`https://h/p#${name}=c4n4ry`)).toBe(`https://h/p#${name}=***`);
    expect(maskJson(JSON.stringify({ at: `/p#${name}=c4n4ry` }))).toBe(JSON.stringify({ at: `/p#${name}=***` }));
  });

  test('hides a password that holds a slash, a colon or an at sign', () => {
    expect(maskUrl('amqp://u:p/a:s@s@host/v')).not.toMatch(/p\/a|s@s/);
  });

  test('hides the password of a user whose name holds an at sign', () => {
    expect(maskUrl('no way to postgres://app@tenant:c4n4ry@db/x, nor to amqp://svc@corp:c4n4ry@mq')).toBe(
      'no way to postgres://app@tenant:***@db/x, nor to amqp://svc@corp:***@mq',
    );
    expect(maskUrl('http://u@h:80/a@b and amqp://u@h:5672')).toBe('http://u@h:80/a@b and amqp://u@h:5672');
  });

  test.each([
    ['postgres://app@tenant:c4n4ry@db/x', 'postgres://app%40tenant:***@db/x'],
    ['postgres://app:my c4n4ry@db/x', 'postgres://app:***@db/x'],
    ['postgres://app:a"c4n4ry@db:5432/x?a=1', 'postgres://app:***@db:5432/x?a=1'],
    ['postgres://db/x?user=me&password=a "c4n4ry', 'postgres://db/x?user=me&password=***'],
    ['amqp://app:my c4n4ry@m q', 'amqp://***@m q'],
    ['postgres://app@db/x', 'postgres://app@db/x'],
    ['http://api', 'http://api'],
    ['embedded:', 'embedded:'],
    ['a text, not a URL: me@here', 'a text, not a URL: me@here'],
  ])('of a whole URL hides the password, whatever is in it: %s', (url, masked) => {
    expect(maskWholeUrl(url)).toBe(masked);
  });
});

describe('masking a text of a stranger', () => {
  const MB = 2 ** 20;
  const withPassword = 'see amqp://u:c4n4ry@h/v and http://h/?token=c4n4ry for it';
  test.each([
    ['letters and dots', 'a.'.repeat(MB / 2)],
    ['URLs', 'a://b '.repeat(MB / 6)],
    ['URLs without an end', 'a://b:'.repeat(MB / 6)],
    ['at signs', 'a://b:c@'.repeat(MB / 8)],
    ['names of a query', '?token'.repeat(MB / 6)],
    ['one name', `?${'token'.repeat(MB / 5)}`],
    ['secrets', '?token=x&'.repeat(MB / 9)],
    ['quotes', `?token=${'"'.repeat(MB)}`],
    ['backslashes', '\\"'.repeat(MB / 3)],
  ])('costs no more than its length, and hides what is beside it: %s', (_, strange) => {
    const before = process.cpuUsage();
    const masked = maskUrl(`${strange} ${withPassword}`);
    expect(JSON.parse(maskJson(JSON.stringify({ strange, withPassword }))).withPassword).not.toContain('c4n4ry');
    // What tries again from each sign takes minutes.
    expect(process.cpuUsage(before).user).toBeLessThan(5_000_000);
    expect(masked).not.toContain('c4n4ry');
  });

  test('hides what the patterns hide that are its definition', () => {
    const password = /([a-z0-9+.-]:\/\/[^\s:/"]*):(?!\d{1,5}(?:\/|$))[^\s"]*@/gi;
    const secret =
      /([?&;#](?:sig|[\w.-]*(?:password|passwd|pwd|passphrase|token|secret|key|signature|credential))=)(?:[^&\s;"]|"(?!$|[\s,.;:)\]}]))*/gi;
    const piece = fc.constantFrom(
      ...[
        'a://',
        'b',
        ':',
        '@',
        '/',
        '"',
        ' ',
        '12',
        '?',
        '&',
        '#',
        ';',
        'token',
        'key',
        'sig',
        '=',
        '.',
        '-',
        'x',
        '}',
      ],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        const text = pieces.join('');
        const defined = text.replace(password, '$1:***@').replace(secret, '$1***');
        expect(maskUrl(text)).toBe(defined);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('masking a line of JSON', () => {
  test('leaves it JSON, with all that is no secret, when a text ends with one', () => {
    const line = JSON.stringify({
      url: 'http://h/?token=abc',
      key: 'k',
      error: { stack: 'GET http://h/?key=d\n at x' },
    });
    expect(JSON.parse(maskJson(line))).toEqual({
      url: 'http://h/?token=***',
      key: 'k',
      error: { stack: 'GET http://h/?key=***\n at x' },
    });
  });

  test('hides all of a secret that holds what JSON escapes', () => {
    expect(JSON.parse(maskJson(JSON.stringify({ url: 'http://h/?token=a"b\\c&x=1' })))).toEqual({
      url: 'http://h/?token=***&x=1',
    });
  });
});

describe('sleep', () => {
  test('ends early when the signal aborts, without an error', async () => {
    const abort = new AbortController();
    const slept = sleep(60_000, abort.signal);
    abort.abort();
    await expect(slept).resolves.toBeUndefined();
    await expect(sleep(60_000, abort.signal)).resolves.toBeUndefined();
  });
});
