import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Alarms } from '../../src/embedded/broker/alarm.ts';
import { Deque } from '../../src/embedded/broker/deque.ts';
import { EMPTY_TABLE, type Field } from '../../src/embedded/broker/field-table.ts';
import { tableKey } from '../../src/embedded/broker/fields.ts';
import { Heap } from '../../src/embedded/broker/heap.ts';
import { Message } from '../../src/embedded/broker/message.ts';
import { OutputBudget } from '../../src/embedded/broker/output-budget.ts';
import { writeProperties } from '../../src/embedded/broker/properties.ts';
import { resolveQueueArguments } from '../../src/embedded/broker/queue-arguments.ts';
import { UNRECORDED } from '../../src/embedded/broker/state-changes.ts';
import { TopicTrie } from '../../src/embedded/broker/topic-trie.ts';
import { VirtualHost } from '../../src/embedded/broker/virtual-host.ts';

/** The plain meaning of a pattern, word by word. */
function fits(pattern: readonly string[], key: readonly string[]): boolean {
  const [word, ...rest] = pattern;
  if (word === undefined) return key.length === 0;
  if (word === '#') return key.some((_, at) => fits(rest, key.slice(at))) || fits(rest, []);
  return key.length > 0 && (word === '*' || word === key[0]) && fits(rest, key.slice(1));
}

const wordsOf = (key: string): string[] => (key === '' ? [] : key.split('.'));

describe('the engine of the embedded broker', () => {
  it('matches topic patterns as their plain meaning says, also after some were removed', () => {
    const word = fc.constantFrom('a', 'b', '*', '#', '');
    const pattern = fc.array(word, { minLength: 1, maxLength: 5 }).map((words) => words.join('.'));
    const key = fc.array(fc.constantFrom('a', 'b', 'c', ''), { minLength: 1, maxLength: 6 }).map((w) => w.join('.'));
    fc.assert(
      fc.property(fc.uniqueArray(pattern, { maxLength: 12 }), fc.array(fc.nat(11)), key, (patterns, removed, text) => {
        const trie = new TopicTrie<string>();
        for (const each of patterns) trie.add(each, each);
        const left = patterns.filter((_, at) => !removed.includes(at));
        for (const each of patterns) if (!left.includes(each)) trie.remove(each, each);
        const got = new Set<string>();
        trie.match(text, (value) => got.add(value));
        expect([...got].sort()).toEqual(left.filter((each) => fits(wordsOf(each), wordsOf(text))).sort());
      }),
      { numRuns: 10_000 },
    );
  });

  it('matches a long key under many # without walking every way', () => {
    const trie = new TopicTrie<number>();
    trie.add(Array.from({ length: 12 }, () => '#').join('.'), 1);
    const found: number[] = [];
    trie.match(Array.from({ length: 100 }, () => 'a').join('.'), (value) => found.push(value));
    expect(new Set(found)).toEqual(new Set([1]));
  });

  it('a deque is a list that grows at its end and goes at its start', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer()), { maxLength: 3000 }), (steps) => {
        const deque = new Deque<number>();
        const list: number[] = [];
        for (const step of steps) {
          if (step === null) expect(deque.shift()).toBe(list.shift());
          else {
            deque.push(step);
            list.push(step);
          }
        }
        expect([...deque]).toEqual(list);
        expect(deque.length).toBe(list.length);
      }),
    );
  });

  it('a heap gives the smallest first', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (numbers) => {
        const heap = new Heap<number>((value) => value);
        for (const value of numbers) heap.push(value);
        expect(numbers.map(() => heap.shift())).toEqual(numbers.toSorted((a, b) => a - b));
      }),
    );
  });

  it('an output budget that ran over opens again once half of it is free', () => {
    const opened: string[] = [];
    const budget = new OutputBudget(100, () => opened.push('open'));
    const [a, b] = [{}, {}];
    budget.set(a, 60);
    expect(budget.isOver).toBe(false);
    budget.set(b, 60);
    expect(budget.isOver).toBe(true);
    budget.set(a, 30);
    expect([budget.isOver, opened]).toEqual([true, []]);
    budget.set(b, 0);
    expect([budget.isOver, opened]).toEqual([false, ['open']]);
  });

  it('tells bindings apart by their arguments, in a text that grows as they do, however deep tables are nested', () => {
    const nested = (depth: number, text: string): ReadonlyMap<string, Field> =>
      new Map([['t', depth === 0 ? { type: 'S', value: text } : { type: 'F', value: nested(depth - 1, text) }]]);
    const key = tableKey(nested(20, 'a'));
    expect(key.length).toBeLessThan(500);
    expect(tableKey(nested(20, 'a'))).toBe(key);
    expect(new Set([key, tableKey(nested(20, 'b')), tableKey(nested(19, 'a'))]).size).toBe(3);
    const decimal = (scale: number) => tableKey(new Map([['d', { type: 'D', scale, value: 15 }]]));
    expect(decimal(1)).not.toBe(decimal(2));
  });

  it('a message that fails on its way to the dead letters is dropped and told of, and those behind it get there', () => {
    let now = 0;
    const alarms = new Alarms({ now: () => now, monotonicMs: () => now });
    const lost: unknown[] = [];
    const vhost = new VirtualHost(alarms, {
      changes: UNRECORDED,
      held: () => undefined,
      lost: (queue, reason, error) => lost.push([queue.name, reason, error]),
    });
    const add = (name: string, args: ReadonlyMap<string, Field>) =>
      vhost.addQueue({
        name,
        isDurable: true,
        isAutoDelete: false,
        owner: undefined,
        arguments: args,
        settings: resolveQueueArguments(args, name),
      });
    const dead = add('dead', EMPTY_TABLE);
    const waiting = add(
      'waiting',
      new Map<string, Field>([
        ['x-message-ttl', { type: 'I', value: 1000 }],
        ['x-dead-letter-exchange', { type: 'S', value: '' }],
        ['x-dead-letter-routing-key', { type: 'S', value: 'dead' }],
      ]),
    );
    const message = (text: string) => new Message('', 'waiting', writeProperties({}), Buffer.from(text));
    const failure = new Error('no such properties');
    const bad = message('bad');
    bad.properties = () => {
      throw failure;
    };
    for (const each of [message('before'), bad, message('behind')]) waiting.push(each);
    now += 1000;
    alarms.runDue();
    expect([...dead.ready].map(({ message: { body } }) => body.toString())).toEqual(['before', 'behind']);
    expect(lost).toEqual([['waiting', 'expired', failure]]);
    vhost.dispose();
  });
});
