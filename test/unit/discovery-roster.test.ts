import { beforeEach, describe, expect, test } from 'vitest';
import type { Announcement, Beat } from '../../src/discovery/announcement.ts';
import { EMPTY_OFFER } from '../../src/discovery/description.ts';
import { Roster } from '../../src/discovery/roster.ts';

const clock = { ms: 0, monotonicMs: () => clock.ms };
let roster: Roster;
beforeEach(() => {
  clock.ms = 1_000;
  roster = new Roster(clock);
});

const idOf = (n: number): string => `01890000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const beat = (n: number, changes: Partial<Beat> = {}): Beat => ({
  protocol: 1,
  instance: idOf(n),
  name: 'orders',
  digest: 'd1',
  everyMs: 10_000,
  failing: [],
  ...changes,
});
const announcement = (n: number, changes: Partial<Beat> = {}): Announcement => ({
  ...beat(n, changes),
  description: {
    ...EMPTY_OFFER,
    version: '1',
    library: '1',
    host: 'here',
    pid: n,
    since: '',
    roles: ['consumer'],
    queue: 'orders',
    omitted: [],
  },
});
const there = () => roster.present.map(({ instance }) => instance);

describe('the roster', () => {
  test('has an instance from its first word until two and a half heartbeats are unheard, by the own clock', () => {
    roster.announced(announcement(1), 100);
    clock.ms += 24_999;
    expect(there()).toEqual([idOf(1)]);
    roster.beat(beat(1));
    clock.ms += 24_999;
    expect(there()).toEqual([idOf(1)]);
    clock.ms += 1;
    expect(there()).toEqual([]);
  });

  test('gives each its own time: one that beats each second is gone after two and a half', () => {
    roster.beat(beat(1, { everyMs: 1_000 }));
    roster.beat(beat(2));
    clock.ms += 2_500;
    expect(there()).toEqual([idOf(2)]);
  });

  test('is without one that says goodbye at once, and has it again at its next word', () => {
    roster.beat(beat(1));
    roster.left(idOf(1));
    roster.left(idOf(2));
    expect(there()).toEqual([]);
    roster.beat(beat(1));
    expect(there()).toEqual([idOf(1)]);
  });

  test('asks whom it does not know, and whose description has changed, but not at each heartbeat', () => {
    expect(roster.beat(beat(1))).toBe(true);
    expect(roster.present).toMatchObject([{ description: undefined }]);
    clock.ms += 4_999;
    expect(roster.beat(beat(1))).toBe(false);
    clock.ms += 1;
    expect(roster.beat(beat(1))).toBe(true);
    roster.announced(announcement(1), 100);
    clock.ms += 10_000;
    expect(roster.beat(beat(1))).toBe(false);
    expect(roster.beat(beat(1, { digest: 'd2' }))).toBe(true);
  });

  test('tells of health by the last heartbeat', () => {
    roster.announced(announcement(1), 100);
    roster.beat(beat(1, { failing: ['consumer'] }));
    expect(roster.present).toMatchObject([{ failing: ['consumer'], description: { pid: 1 } }]);
  });

  test('lets nobody go while it hears nothing, and gives all their time again when it does', () => {
    roster.beat(beat(1));
    roster.deaf();
    clock.ms += 3_600_000;
    expect(there()).toEqual([idOf(1)]);
    roster.hearing();
    clock.ms += 24_999;
    expect(there()).toEqual([idOf(1)]);
    clock.ms += 1;
    expect(there()).toEqual([]);
  });

  test('remembers so many and so much, whoever makes instances up; places come free with those that are gone', () => {
    roster = new Roster(clock, { instances: 2, bytes: 250 });
    for (const n of [1, 2, 3]) roster.announced(announcement(n, { everyMs: 1_000 }), 150);
    expect(there()).toEqual([idOf(2), idOf(1)].sort());
    expect(roster.present.map(({ description }) => description?.pid)).toEqual([1, undefined]);
    roster.announced(announcement(1, { everyMs: 1_000 }), 50);
    roster.announced(announcement(2, { everyMs: 1_000 }), 150);
    expect(roster.present.map(({ description }) => description?.pid)).toEqual([1, 2]);
    clock.ms += 2_500;
    roster.announced(announcement(3), 250);
    expect(roster.present.map(({ description }) => description?.pid)).toEqual([3]);
  });

  test('lists by name, and of one name the oldest first', () => {
    const since = (n: number, name: string, time: string): void => {
      const one = announcement(n, { name });
      roster.announced({ ...one, description: { ...one.description, since: time } }, 10);
    };
    since(1, 'orders', '2026-01-02');
    since(2, 'orders', '2026-01-01');
    since(3, 'billing', '2026-01-03');
    expect(there()).toEqual([idOf(3), idOf(2), idOf(1)]);
  });
});
