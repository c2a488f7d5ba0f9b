import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BENCHES, NAMED_ONLY, readArguments } from '../../bench/arguments.ts';
import { judgeGrowth } from '../../bench/growth/curve.ts';
import { drawing } from '../../bench/growth/svg.ts';
import { leastSquares } from '../../bench/least-squares.ts';
import { Peer } from '../../bench/peer.ts';
import { ProcessProfile } from '../../bench/profile.ts';
import { writeRecord } from '../../bench/record.ts';

describe('npm run bench', () => {
  it.each([...BENCHES, ...NAMED_ONLY])(
    '%s says the settings of its sides, and what would be cheating',
    async (name) => {
      const { head } = await import(`../../bench/${name}.bench.ts`);
      expect(head).toMatch(/\b(Ours|ours|Both|All)\b/);
      expect(head).toMatch(/Cheating would be: \S/);
    },
  );

  it('runs everything that has a target when it is told no names, and keeps what it is told to keep', () => {
    expect(readArguments([])).toEqual({
      names: BENCHES,
      isAll: true,
      rounds: undefined,
      minutes: 30,
      largest: 100_000,
      record: undefined,
      profile: undefined,
    });
    expect(readArguments(['relay', '--rounds', '3', '--record'])).toMatchObject({
      names: ['relay'],
      isAll: false,
      rounds: 3,
      record: '',
    });
    expect(readArguments(['soak', '--minutes', '0.5', '--record-to', 'x.json'])).toMatchObject({
      minutes: 0.5,
      record: 'x.json',
    });
  });

  it('refuses benches that there are not, and numbers that are none', () => {
    expect(() => readArguments(['relais'])).toThrow(/no such bench: relais; there are publish, /);
    expect(() => readArguments(['--rounds', '2.5'])).toThrow('--rounds: expected a whole number above 0, got "2.5"');
    expect(() => readArguments(['--minutes', 'long'])).toThrow('--minutes: expected a number above 0, got "long"');
    expect(() => readArguments(['growth', '--largest', '1000'])).toThrow('--largest: expected 10000 or more, got 1000');
    expect(() => readArguments(['--round', '2'])).toThrow(/--round/);
  });

  it('keeps figures with what they were measured on, each on a line', () => {
    const folder = mkdtempSync(join(tmpdir(), 'svc-comm-record-'));
    try {
      const file = join(folder, 'record.json');
      const versions = {
        commit: 'abc',
        packages: { amqplib: '2' },
        rabbitmq: '3',
        postgresql: '15',
        postgresqlSettings: {},
      };
      const rows = [
        { bench: 'relay', value: 0.9 },
        { bench: 'call', value: 1.1 },
      ];
      const given = readArguments(['relay', '--record-to', file]);
      expect(writeRecord(given, { rounds: 5, loadBefore: 1.5, versions, rows })).toBe(file);
      const text = readFileSync(file, 'utf8');
      expect(JSON.parse(text)).toMatchObject({ rounds: 5, versions, rows, load: { before: 1.5 } });
      expect(text).toContain('\n    {"bench":"relay","value":0.9},\n');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('tells what the CPU of a side went into while it was timed, and nothing that was not', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'profile-'));
    try {
      const profile = new ProcessProfile();
      profile.open(folder);
      profile.begin();
      profile.end();
      expect(profile.take()).toEqual([]);
      await profile.of('a side', async () => {
        profile.begin();
        // Of the processor, which others may have meanwhile.
        const before = process.cpuUsage();
        while (process.cpuUsage(before).user < 100_000) leastSquares([0, 1, 2].map((x) => [x, x]));
        profile.end();
      });
      expect(profile.take()).toEqual([expect.stringMatching(/^profile of a side: .*bench\/least-squares\.ts \d+ %/)]);
      expect(profile.take()).toEqual([]);
      expect(existsSync(join(folder, 'a-side.cpuprofile'))).toBe(true);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('leaves out a peer that is not installed', () => {
    expect(new Peer('no-such-peer', 'index.js').isInstalled).toBe(false);
  });

  it('has its peers in a package of its own, which nobody needs who does not measure', () => {
    expect(existsSync(new URL('../../bench/package-lock.json', import.meta.url))).toBe(true);
  });
});

describe('leastSquares', () => {
  it('finds the line through points, and how sure its slope is', () => {
    expect(leastSquares([0, 1, 2, 3].map((x) => [x, 3 * x + 1]))).toEqual({ slope: 3, intercept: 1, standardError: 0 });
    const noisy = leastSquares([0, 1, 2, 3, 4, 5].map((x) => [x, x + (x % 2 === 0 ? 0.1 : -0.1)]));
    expect(noisy.slope).toBeCloseTo(1, 1);
    expect(noisy.standardError).toBeGreaterThan(0);
  });
});

describe('growth', () => {
  const measured = (costs: readonly number[], power: 0 | 1 = 0) => ({
    name: 'relay',
    of: 'rows',
    power,
    points: costs.map((us, i) => ({ size: 10 ** (3 + i), cost: { cpuUs: us, wallUs: us } })),
  });
  const verdict = (...given: Parameters<typeof measured>) => judgeGrowth(measured(...given))[0];

  it('takes a cost for one that stays for linear, and one that grows with their number for worse', () => {
    expect(verdict([30, 28, 31])).toMatchObject({ isMet: true });
    expect(verdict([30, 60, 120])).toMatchObject({ isMet: false, target: '≤ 0.15' });
  });

  it('lets the cost of a message grow with its bytes, and no faster', () => {
    expect(verdict([10, 90, 800], 1)).toMatchObject({ isMet: true });
    expect(verdict([10, 300, 9000], 1)).toMatchObject({ isMet: false });
  });

  it('draws every curve with its name inside of its axes', () => {
    const curves = [{ name: 'CPU <own>', points: [[1, 0.4] as const, [10_000, 30] as const] }];
    const svg = drawing([{ title: 'a & b', xLabel: 'rows', yLabel: 'µs', curves }]);
    expect(svg).toContain('a &amp; b');
    expect(svg).toContain('CPU &lt;own>');
    const places = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
    expect(places).toHaveLength(2);
    for (const [x = 0, y = 0] of places) expect(x >= 60 && x <= 344 && y >= 34 && y <= 208).toBe(true);
  });
});
