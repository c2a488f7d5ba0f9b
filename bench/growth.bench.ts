import { mkdirSync, writeFileSync } from 'node:fs';
import type { BenchArguments } from './arguments.ts';
import { curvesOf, judgeGrowth, type Measured, measure } from './growth/curve.ts';
import { lookUpGrowth } from './growth/look-up.ts';
import { GrowthWorld } from './growth/services.ts';
import { drawing, type Panel } from './growth/svg.ts';
import { type Row, ratio } from './harness.ts';

export const head = `
Ours alone, as one thing grows: patterns of the router; rows that wait for the relay (from its start to the last delete);
messages that wait for the consumer (quorum queue, inbox off, 987 bytes); callers of transaction() with one event on the
default pool; bytes of an event through the relay; keys drawn evenly and by Zipf (of 10,000) through the relay. Cost is of
one look-up, row, message or commit; its power is the slope on logarithmic axes: 0 is flat, and linear in all. Each size
once in a round, medians. Drawn in docs/growth.svg with --record.
Cheating would be: a backlog that is measured after its first rows, keys that the router has seen, transient messages.`;

const BODIES = [1024, 64 * 1024, 1024 * 1024];
/** As many of each as are worth the time. */
const rowsOf = (bytes: number): number => Math.max(50, Math.min(1000, Math.floor((32 * 1024 * 1024) / bytes)));
const COMMITS = 1_000;
const KEYED_ROWS = 10_000;
const HOT_ROWS = 500;
const EVENT_BYTES = 987;
const NO_KEY = 'NULL::text';
const EVEN = "'k' || floor(random() * 10000)";
/** Of weight 1/rank, by the inverse of its integral. */
const ZIPF = "'k' || floor(power(10000, random()))";

export async function run(
  rounds: number,
  { largest, record, keep }: Pick<BenchArguments, 'largest' | 'record'> & { keep(name: string, value: unknown): void },
): Promise<Row[]> {
  const backlogs = [1_000, 10_000, 100_000, 1_000_000].filter((size) => size <= largest);
  const world = await GrowthWorld.open();
  try {
    const of = async (
      name: string,
      what: string,
      sizes: readonly number[],
      power: 0 | 1,
      once: (size: number) => ReturnType<GrowthWorld['consume']>,
    ): Promise<Measured> => {
      const points = await measure(sizes, rounds, once);
      const told = points.map(({ size, cost }) => `${size}: ${cost.cpuUs.toFixed(1)}`).join(', ');
      console.log(`  ${name}, us CPU for one by ${what}: ${told}`);
      return { name, of: what, points, power };
    };
    const measured = [
      await lookUpGrowth(rounds),
      await of('relay', 'rows', backlogs, 0, (rows) => world.relay(rows, NO_KEY, EVENT_BYTES)),
      await of('consumer', 'messages', backlogs, 0, (messages) => world.consume(messages)),
      await of('transaction()', 'callers', [1, 64, 256], 0, (callers) => world.commit(callers, COMMITS)),
      await of('relay', 'bytes', BODIES, 1, (bytes) => world.relay(rowsOf(bytes), NO_KEY, bytes)),
    ];
    const { rows: keyRows, cpuUs } = await keyed(world, rounds);
    const hot = await world.relay(HOT_ROWS, "'hot'", EVENT_BYTES);
    console.log(`  one key alone: ${Math.round(1e6 / hot.wallUs)} events a second, one unconfirmed at a time`);
    keep('growth', { curves: measured, keys: cpuUs });
    if (record !== undefined) writeDrawing(measured);
    return [...measured.flatMap(judgeGrowth), ...keyRows];
  } finally {
    await world.close();
  }
}

/** A hot key can have one unconfirmed message at a time: its rate is the broker's round trip, and told without a bound. */
async function keyed(world: GrowthWorld, rounds: number) {
  const even: number[] = [];
  const zipf: number[] = [];
  const rate: number[] = [];
  const evenRate: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const a = await world.relay(KEYED_ROWS, EVEN, EVENT_BYTES);
    const b = await world.relay(KEYED_ROWS, ZIPF, EVENT_BYTES);
    even.push(a.cpuUs);
    zipf.push(b.cpuUs);
    evenRate.push(1 / a.wallUs);
    rate.push(1 / b.wallUs);
  }
  const row = {
    bench: 'growth',
    ours: 'relay, keys by Zipf',
    beside: 'relay, keys even',
    unit: '',
    target: '',
  } as const;
  const rows: Row[] = [
    { ...row, figure: 'CPU', value: ratio(zipf, even), isMet: undefined },
    { ...row, figure: 'throughput', value: ratio(rate, evenRate), isMet: undefined },
  ];
  return { rows, cpuUs: { even, zipf } };
}

function writeDrawing(measured: readonly Measured[]): void {
  const panels = measured.map(
    (one): Panel => ({
      title: `${one.name} by ${one.of}`,
      xLabel: one.of,
      yLabel: 'µs for one',
      curves: curvesOf(one),
    }),
  );
  mkdirSync('docs', { recursive: true });
  writeFileSync('docs/growth.svg', drawing(panels));
}
