import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EVERYBODY } from '../../src/http/caller.ts';
import { Guesses, isRefusal, type Verdict } from '../../src/http/guard/guesses.ts';
import { HttpProblem } from '../../src/http/problem.ts';
import { type Deferred, deferred } from '../../src/util/deferred.ts';

const RIGHT: Verdict = EVERYBODY;
const WRONG: Verdict = { reason: new HttpProblem(401, 'nobody'), isWrong: true };
const FAILED: Verdict = { reason: new HttpProblem(500, 'the database is down'), isWrong: false };
const HERE = '192.0.2.1';

let guesses: Guesses;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  guesses = new Guesses();
});
afterEach(() => {
  vi.useRealTimers();
});

/** 200, or the status of the refusal. */
const statusOf = (judged: Promise<Verdict>): Promise<number> =>
  judged.then(
    (verdict) => (isRefusal(verdict) ? (verdict.reason as HttpProblem).statusCode : 200),
    (error: HttpProblem) => error.statusCode,
  );

/** So many that a hook was asked for, and has not answered. */
function open(count: number): { readonly answer: Deferred<Verdict>; readonly status: Promise<number> }[] {
  return Array.from({ length: count }, () => {
    const answer = deferred<Verdict>();
    return { answer, status: statusOf(guesses.judge(HERE, () => answer.promise)) };
  });
}

/** The status when it is there by now; all that waits for no timer has run. */
async function now(status: Promise<number>): Promise<number | 'waits'> {
  const soon = new Promise<'waits'>((resolve) => setImmediate(resolve, 'waits'));
  return Promise.race([status, soon]);
}
const allNow = (asked: readonly { readonly status: Promise<number> }[]) =>
  Promise.all(asked.map(({ status }) => now(status)));

const right = (address = HERE): Promise<number> => statusOf(guesses.judge(address, () => RIGHT));

describe('right credentials', () => {
  it('wait for nobody while fewer than ten of their address are asked for', async () => {
    open(9);
    expect([await now(right()), await now(right())]).toEqual([200, 200]);
    const [quick] = open(1);
    quick?.answer.resolve(RIGHT);
    expect(await now(quick?.status as Promise<number>)).toBe(200);
  });

  it('wait behind ten until one of these has its answer, and those of other addresses do not', async () => {
    const before = open(10);
    const held = right();
    expect([await now(held), await now(right('192.0.2.2'))]).toEqual(['waits', 200]);
    before[7]?.answer.resolve(RIGHT);
    expect(await allNow([...before, { status: held }])).toEqual([
      ...Array(7).fill('waits'),
      200,
      'waits',
      'waits',
      200,
    ]);
  });

  it('wait for none that were asked for after them', async () => {
    const [first] = open(1);
    open(100);
    first?.answer.resolve(RIGHT);
    expect(await now(first?.status as Promise<number>)).toBe(200);
  });

  it('wait behind fewer when some were wrong already', async () => {
    for (let n = 0; n < 7; n += 1) expect(await statusOf(guesses.judge(HERE, () => WRONG))).toBe(401);
    open(2);
    expect(await now(right())).toBe(200);
    open(1);
    expect(await now(right())).toBe('waits');
  });

  it('are let in when what was asked for before them fails: that is no wrong answer', async () => {
    const before = open(10);
    const held = right();
    for (const { answer } of before) answer.resolve(FAILED);
    expect(await allNow([...before, { status: held }])).toEqual([...Array(10).fill(500), 200]);
  });

  it('are let in when those before were wrong, and time has given back what these took', async () => {
    const before = open(10);
    const held = right();
    for (const { answer } of before.slice(0, 9)) answer.resolve(WRONG);
    expect(await now(held)).toBe('waits');
    vi.advanceTimersByTime(7_000);
    before[9]?.answer.resolve(WRONG);
    expect(await now(held)).toBe(200);
  });
});

describe('right credentials behind answers that do not come', () => {
  it('are let in as soon as time has given back enough, whoever else says nothing', async () => {
    const before = open(10);
    const held = right();
    for (const { answer } of before.slice(0, 9)) answer.resolve(WRONG);
    expect(await now(held)).toBe('waits');
    vi.advanceTimersByTime(5_000);
    expect(await now(held)).toBe('waits');
    vi.advanceTimersByTime(1_100);
    expect(await now(held)).toBe(200);
    expect(await now(before[9]?.status as Promise<number>)).toBe('waits');
  });
});

describe('the tenth wrong answer', () => {
  it('refuses all that are not decided, right or wrong, at the same moment', async () => {
    const before = open(10);
    const [answered] = open(1);
    answered?.answer.resolve(RIGHT);
    const held = { status: right() };
    const after = open(5);
    for (const { answer } of before.slice(0, 9)) answer.resolve(WRONG);
    expect(await allNow([answered as never, held, ...after])).toEqual(Array(7).fill('waits'));
    before[9]?.answer.resolve(WRONG);
    expect(await allNow(before)).toEqual(Array(10).fill(401));
    expect(await allNow([answered as never, held, ...after])).toEqual(Array(7).fill(429));
    const ask = vi.fn(() => RIGHT);
    expect(await statusOf(guesses.judge(HERE, ask))).toBe(429);
    expect(ask).not.toHaveBeenCalled();
  });

  it('is the last also of many that come in the same turn', async () => {
    const asked = open(30);
    for (const { answer } of asked) answer.resolve(WRONG);
    expect(await allNow(asked)).toEqual([...Array(10).fill(401), ...Array(20).fill(429)]);
  });
});

describe('a hook that does not answer', () => {
  it('counts as one that was wrong after 30 s: it keeps no place for ever, and nobody guesses behind it', async () => {
    const hanging = open(10);
    const held = right();
    vi.advanceTimersByTime(29_000);
    expect(await now(held)).toBe('waits');
    vi.advanceTimersByTime(1_000);
    expect(await now(held)).toBe(429);
    expect(await now(right())).toBe(429);
    vi.advanceTimersByTime(7_000);
    expect([await now(right()), await now(right())]).toEqual([200, 200]);
    // Two come to an end after all, and are not counted again.
    hanging[0]?.answer.resolve(RIGHT);
    hanging[1]?.answer.resolve(WRONG);
    expect(await allNow(hanging)).toEqual([200, 401, ...Array(8).fill('waits')]);
    expect(await now(right())).toBe(200);
  });

  it('tells nothing of what it would have answered when none is left', async () => {
    const hanging = open(10);
    vi.advanceTimersByTime(30_000);
    hanging[0]?.answer.resolve(RIGHT);
    hanging[1]?.answer.resolve(WRONG);
    expect(await allNow(hanging.slice(0, 2))).toEqual([429, 429]);
  });
});
