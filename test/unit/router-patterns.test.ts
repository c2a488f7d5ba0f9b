import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageRouter } from '../../src/router/router.ts';
import {
  compareTopicPatterns,
  matchesTopic,
  overlap,
  parseTopicPattern,
  topicWords,
} from '../../src/util/topic-pattern.ts';
import {
  arbitraryKey,
  arbitraryPatterns,
  dotted,
  oracleBeats,
  oracleMatches,
  oracleWinner,
} from '../support/topic-oracle.ts';

const routerOf = (patterns: readonly string[]): MessageRouter => {
  const router = new MessageRouter();
  for (const pattern of patterns) router.consumer('x', pattern)(() => undefined);
  return router;
};

describe('the most specific consumer takes the message', () => {
  test('10,000 random sets of patterns agree with a brute-force judge', () => {
    let matched = 0;
    fc.assert(
      fc.property(arbitraryPatterns(), arbitraryKey(), (patterns, key) => {
        const winner = oracleWinner(patterns, key);
        if (winner !== undefined) matched += 1;
        return routerOf(patterns).resolve('x', key)?.pattern === winner;
      }),
      { numRuns: 10_000 },
    );
    expect(matched).toBeGreaterThan(3_000);
  });

  test('the answer does not depend on the order of registration, nor on whether it was asked before', () => {
    fc.assert(
      fc.property(arbitraryPatterns(), fc.array(arbitraryKey(), { maxLength: 5 }), (patterns, keys) => {
        const [router, reversed] = [routerOf(patterns), routerOf(patterns.toReversed())];
        for (const key of [...keys, ...keys]) {
          expect(reversed.resolve('x', key)?.pattern).toBe(router.resolve('x', key)?.pattern);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('a pattern registered after a key was looked up takes it from then on', () => {
    const router = routerOf(['#']);
    expect(router.resolve('x', 'a.b')?.pattern).toBe('#');
    router.consumer('x', 'a.*')(() => undefined);
    expect(router.resolve('x', 'a.b')?.pattern).toBe('a.*');
  });

  test.each([
    [['a.b', 'a.*', '#'], 'a.b', 'a.b'],
    [['a.*', '*.b'], 'a.b', 'a.*'],
    [['a.#', 'a.*'], 'a.b', 'a.*'],
    [['a.#', 'a.*.#'], 'a.b', 'a.*.#'],
    [['*', '*.#'], 'a', '*'],
    [['#.b', '#'], 'a.b', '#.b'],
    [['#.a.#', '#.b.*'], 'a.b.a', '#.b.*'],
    [['#.b.#', '#.a.#'], 'b.a', '#.a.#'],
    [['*'], '', undefined],
    [['#'], '', '#'],
    [['', '#'], '', ''],
    [['*'], 'a.', undefined],
    [['*.*'], 'a.', '*.*'],
  ])('of %j the key %j goes to %j', (patterns, key, winner) => {
    expect(routerOf(patterns).resolve('x', key)?.pattern).toBe(winner);
  });

  test('then comes the whole exchange, then any exchange, then the default', () => {
    const router = new MessageRouter();
    expect(router.resolve('user', 'a')).toBeUndefined();
    router.defaultConsumer(() => undefined);
    expect(router.resolve('user', 'a')?.level).toBe('default');
    router.consumer()(() => undefined);
    expect(router.resolve('user', 'a')?.level).toBe('any');
    router.consumer('user')(() => undefined);
    expect(router.resolve('user', 'a')?.level).toBe('exchange');
    router.consumer('user', '#')(() => undefined);
    expect(router.resolve('user', 'a')?.level).toBe('pattern');
    router.consumer('user', 'a')(() => undefined);
    expect(router.resolve('user', 'a')?.level).toBe('key');
    expect(router.resolve('other', 'a')?.level).toBe('any');
  });
});

describe('a consumer that no binding brings anything', () => {
  test('is told: another exchange, or a pattern that meets none of the bindings', () => {
    const router = routerOf(['order.*', '#.paid', 'user.created']);
    router.consumer('whole')(() => undefined);
    router.consumer()(() => undefined);
    const unbound = (...binds: [string, string][]) =>
      router.unbound(binds.map(([exchange, pattern]) => ({ exchange, pattern }))).map((route) => route.pattern ?? '');
    expect(unbound()).toEqual(['order.*', '#.paid', 'user.created', '']);
    expect(unbound(['x', '#'], ['whole', 'a'])).toEqual([]);
    expect(unbound(['x', 'order.created'])).toEqual(['#.paid', 'user.created', '']);
    expect(unbound(['x', 'user.*'], ['whole', '#'])).toEqual(['order.*']);
    expect(unbound(['y', '#'], ['whole', '#'])).toEqual(['order.*', '#.paid', 'user.created']);
    expect(router.unbound(router.bindings())).toEqual([]);
  });

  test('is looked for at once among 10,000 that each have their own binding', () => {
    const router = routerOf(Array.from({ length: 10_000 }, (_, n) => `order.${n}.*`));
    const binds = router.bindings();
    const before = process.cpuUsage();
    expect(router.unbound(binds)).toEqual([]);
    // Each with each would be a hundred million comparisons.
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(2000);
  });
});

describe('matching one pattern', () => {
  test('10,000 random pairs agree with a regular expression', () => {
    fc.assert(
      fc.property(arbitraryPatterns(1), arbitraryKey(), ([pattern = ''], key) => {
        return matchesTopic(parseTopicPattern(pattern), key) === oracleMatches(pattern, key);
      }),
      { numRuns: 10_000 },
    );
  });

  test('two overlap if and only if there is a key that both take: 10,000 random pairs against all keys that could be one', () => {
    const arbitraryPattern = () => dotted(['a', 'b', '*', '#', '#'], 3);
    // Where keys are taken by both, one of them has no more words than both patterns together.
    let keys = [''];
    for (let words = 1, last = ['']; words <= 6; words += 1) {
      last = last.flatMap((key) => ['a', 'b'].map((word) => (key === '' ? word : `${key}.${word}`)));
      keys = [...keys, ...last];
    }
    const found = { overlapping: 0, apart: 0 };
    fc.assert(
      fc.property(arbitraryPattern(), arbitraryPattern(), (a, b) => {
        const isThere = keys.some((key) => oracleMatches(a, key) && oracleMatches(b, key));
        found[isThere ? 'overlapping' : 'apart'] += 1;
        expect(overlap(topicWords(a), topicWords(b))).toBe(isThere);
      }),
      { numRuns: 10_000 },
    );
    expect(Math.min(found.apart, found.overlapping)).toBeGreaterThan(2_000);
  });

  test('the order of patterns is that of the judge', () => {
    fc.assert(
      fc.property(arbitraryPatterns(2), ([a = '', b = '']) => {
        if (a !== b) {
          expect(compareTopicPatterns(parseTopicPattern(a), parseTopicPattern(b)) < 0).toBe(oracleBeats(a, b));
        }
      }),
      { numRuns: 5_000 },
    );
  });

  test('the longest patterns and keys that AMQP carries cost no more than their length, whatever they hold', () => {
    const hostile = `#.${'a.#.'.repeat(62)}b`;
    const key = `${'a.'.repeat(127)}a`;
    const router = routerOf([hostile, `#${'.*.#'.repeat(62)}.b`, `${'#.a.*.'.repeat(42)}b`]);
    const begun = performance.now();
    expect(matchesTopic(parseTopicPattern(hostile), key)).toBe(false);
    expect(router.resolve('x', key)).toBeUndefined();
    expect(performance.now() - begun).toBeLessThan(1_000);
  });
});

describe('names that AMQP cannot carry, and patterns that cannot mean what they say, are refused', () => {
  const invalidName = expect.objectContaining({ code: 'SVC_COMM_INVALID_NAME' });
  const codeOf = (run: () => unknown): unknown => {
    try {
      run();
    } catch (error) {
      return error;
    }
    return 'nothing thrown';
  };

  test.each([['a'.repeat(256)], ['ä'.repeat(128)], ['a\nb'], ['a\0'], ['\u0085'], ['update*'], ['a.b#.c'], ['a.**']])(
    'the pattern %j',
    (pattern) => {
      expect(codeOf(() => new MessageRouter().consumer('x', pattern))).toEqual(invalidName);
    },
  );

  test.each([['x'.repeat(256)], ['x\r\n']])('the exchange %j', (exchange) => {
    expect(codeOf(() => new MessageRouter().consumer(exchange))).toEqual(invalidName);
  });

  test('what is no text at all', () => {
    const untyped: unknown = 7;
    expect(codeOf(() => new MessageRouter().consumer('x', untyped as string))).toEqual(invalidName);
    expect(codeOf(() => new MessageRouter().consumer(undefined, 'a.*'))).toMatchObject({
      code: 'SVC_COMM_INVALID_ARGUMENT',
    });
  });

  test('255 bytes are taken', () => {
    expect(codeOf(() => new MessageRouter().consumer('x'.repeat(255), 'ä'.repeat(127)))).toBe('nothing thrown');
  });
});
