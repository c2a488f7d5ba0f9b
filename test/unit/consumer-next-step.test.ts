import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_HOLD_MS, nextRunMs, nextStep } from '../../src/consumer/next-step.ts';
import { DEFAULT_CONSUMER_OPTIONS } from '../../src/consumer/options.ts';
import { planInPlace, planRetry } from '../../src/consumer/retry.ts';
import type { Verdict } from '../../src/message/handler.ts';

const retry = { ...DEFAULT_CONSUMER_OPTIONS.retry, attempts: 5, delaysMs: [1_000, 5_000, 30_000], inPlaceMs: 10_000 };
const error = new Error('x');
const fresh = { attempt: 1, firstFailureMs: undefined, firstTroubleMs: undefined, troubles: 0 };
const at = (nowMs: number, isDraining = false) => ({ retry, nowMs, isDraining });

test.each([
  [1, { kind: 'queue', delayMs: 1_000 }],
  [3, { kind: 'queue', delayMs: 30_000 }],
  [4, { kind: 'queue', delayMs: 30_000 }],
  [5, { kind: 'exhausted' }],
  [9, { kind: 'exhausted' }],
])('after %i failed runs without a key: %o', (failedRuns, plan) => {
  expect(planRetry({ failedRuns, requestedMs: undefined }, retry)).toEqual(plan);
});

test.each([
  [1, { kind: 'queue', delayMs: 1_000 }],
  [1_000, { kind: 'queue', delayMs: 1_000 }],
  [1_001, { kind: 'queue', delayMs: 5_000 }],
  [30_001, { kind: 'schedule', delayMs: 30_001 }],
])('RetryLater(%i) takes the next larger retry queue, or the future table: %o', (requestedMs, plan) => {
  expect(planRetry({ failedRuns: 1, requestedMs }, retry)).toEqual(plan);
  expect(planRetry({ failedRuns: 5, requestedMs }, retry)).toEqual({ kind: 'exhausted' });
});

test.each([
  ['a larger retry queue', {}, 1_001, true, 5_000],
  ['the future table', {}, 30_001, true, 30_001],
  ['without a table, the largest retry queue', {}, 30_001, false, 30_000],
  ['nothing, with its last attempt', { attempt: 5 }, 1_000, true, undefined],
  ['what is left of the time in place, with a key', { key: 'k', firstFailureMs: 0 }, 30_001, true, 6_000],
  ['nothing, with a key that has had its time', { key: 'k', firstFailureMs: -6_000 }, 1, true, undefined],
])('the next run comes after %s', (_, message, requestedMs, isScheduled, expected) => {
  const now = { retry, nowMs: 4_000, isScheduled };
  expect(nextRunMs({ ...fresh, key: undefined, ...message }, requestedMs, now)).toBe(expected);
});

test('all waits in place together never exceed inPlaceMs, and runs never exceed attempts', () => {
  const anyRetry = fc.record({
    attempts: fc.integer({ min: 1, max: 12 }),
    delaysMs: fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 11 }),
    inPlaceMs: fc.integer({ min: 0, max: 30_000 }),
    requestedMs: fc.option(fc.double({ min: 0.1, max: 1e6, noNaN: true }), { nil: undefined }),
  });
  fc.assert(
    fc.property(anyRetry, ({ requestedMs, ...options }) => {
      let elapsedMs = 0;
      let runs = 1;
      for (;;) {
        const plan = planInPlace({ failedRuns: runs, requestedMs, elapsedMs }, { ...retry, ...options });
        if (plan.kind === 'exhausted') break;
        elapsedMs += plan.delayMs;
        runs += 1;
      }
      expect(elapsedMs).toBeLessThan(options.inPlaceMs + 1);
      expect(runs).toBeLessThanOrEqual(options.attempts);
    }),
  );
});

test('a failed run: a copy without a key, a rest in place with one, dead letters when it has had its time', () => {
  const verdict: Verdict = { kind: 'retry', error, delayMs: 70 };
  expect(nextStep({ ...fresh, key: undefined }, verdict, at(0))).toEqual({ kind: 'copy', error, requestedMs: 70 });
  const keyed = { ...fresh, key: 'k' };
  expect(nextStep(keyed, verdict, at(0))).toEqual({ kind: 'rest', error, delayMs: 70, isFailedRun: true });
  const late = { ...keyed, attempt: 2, firstFailureMs: 0 };
  expect(nextStep(late, { kind: 'retry', error }, at(9_000))).toMatchObject({ kind: 'rest', delayMs: 1_000 });
  expect(nextStep(late, { kind: 'retry', error }, at(10_000))).toEqual({ kind: 'dead', error, reason: 'attempts' });
  expect(nextStep(late, { kind: 'retry', error }, at(9_000, true))).toEqual({ kind: 'release', error });
});

test('infrastructure trouble holds a message 0.5 to 10 s at a time; one without a key is given back after a minute', () => {
  const verdict: Verdict = { kind: 'release', error };
  for (let troubles = 0; troubles < 40; troubles++) {
    const step = nextStep({ ...fresh, key: 'k', troubles, firstTroubleMs: 0 }, verdict, at(troubles * 10_000));
    expect(step).toMatchObject({ kind: 'rest', isFailedRun: false });
    if (step.kind !== 'rest') continue;
    expect(step.delayMs).toBeGreaterThanOrEqual(500);
    expect(step.delayMs).toBeLessThanOrEqual(10_000);
  }
  const unkeyed = { ...fresh, key: undefined, troubles: 9, firstTroubleMs: 0 };
  expect(nextStep(unkeyed, verdict, at(MAX_HOLD_MS - 1))).toMatchObject({ kind: 'rest' });
  expect(nextStep(unkeyed, verdict, at(MAX_HOLD_MS))).toEqual({ kind: 'release', error });
  expect(nextStep({ ...fresh, key: 'k' }, verdict, at(0, true))).toEqual({ kind: 'release', error });
});
