import { expect, it } from 'vitest';
import { RelayRoster } from '../../src/outbox/relay-roster.ts';

const HOUR_MS = 3_600_000;

/** The database's clock, and the table of those who beat, each for its own lease. */
function table() {
  let databaseMs = 10 * HOUR_MS;
  const ends = new Map<string, number>();
  return {
    beat: (owner: string, leaseMs: number) => ends.set(owner, databaseMs + leaseMs),
    pass: (ms: number) => {
      databaseMs += ms;
    },
    beats: () => [...ends].map(([owner, end]) => ({ owner, until: String(end), leftMs: end - databaseMs })),
  };
}

it('one that has died is counted no more when the clock of the database steps back to before its death', () => {
  const { beat, pass, beats } = table();
  const roster = new RelayRoster({ leaseMs: 10_000 });
  beat('dead', 10_000);
  expect([...roster.look(beats(), 0)]).toEqual(['dead']);
  pass(9_000);
  expect([...roster.look(beats(), 9_000)]).toEqual(['dead']);
  pass(1_000);
  expect([...roster.look(beats(), 10_000)]).toEqual([]);
  pass(-HOUR_MS);
  expect([...roster.look(beats(), 11_000)]).toEqual([]);
});

it('who comes after the step counts one that was dead before for a minute at most', () => {
  const { beat, pass, beats } = table();
  beat('dead', 10_000);
  pass(60_000 - HOUR_MS);
  const roster = new RelayRoster({ leaseMs: 10_000 });
  expect([...roster.look(beats(), 0)]).toEqual(['dead']);
  expect([...roster.look(beats(), 60_000)]).toEqual([]);
});

it('one that beats is counted all the time, also when its lease is a hundred times ours', () => {
  const { beat, pass, beats } = table();
  const roster = new RelayRoster({ leaseMs: 1_000 });
  for (let nowMs = 0; nowMs < 1_000_000; nowMs += 250) {
    beat('ours', 1_000);
    if (nowMs % 33_000 === 0) beat('patient', 100_000);
    expect([...roster.look(beats(), nowMs)]).toEqual(['ours', 'patient']);
    pass(250);
  }
});

it('a clock of the database that steps back leaves those that live in the list', () => {
  const { beat, pass, beats } = table();
  const roster = new RelayRoster({ leaseMs: 10_000 });
  beat('living', 10_000);
  roster.look(beats(), 0);
  pass(3_000 - HOUR_MS);
  expect([...roster.look(beats(), 3_000)]).toEqual(['living']);
  beat('living', 10_000);
  for (const nowMs of [3_500, 12_999]) expect([...roster.look(beats(), nowMs)]).toEqual(['living']);
});
