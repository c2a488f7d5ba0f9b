import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchArguments } from './arguments.ts';
import { atMost, median, type Row } from './harness.ts';
import { leastSquares } from './least-squares.ts';
import { Pace } from './soak/pace.ts';
import { type Sample, takeSample } from './soak/sample.ts';
import { openWorld, type World } from './soak/world.ts';

export const head = `
Ours alone: a producer (transaction() with a row of its own and an event of 987 bytes, 1,000 keys), relay and consumer with
inbox and one row written by the handler, in one process, at 30 % of what ten seconds at full speed gave. A quorum queue;
a PostgreSQL of its own with autovacuum on and fsync on, where there are binaries. Each 15 seconds: memory (heap after a
collection), open files, dead rows and sizes of the tables. Slopes by least squares over the last two thirds. At the end
each event must have had its effect once.
Cheating would be: slopes from before it is warm, a rate that it never reaches, vacuum by hand, inbox off.`;

const SHARE = 0.3;
const SAMPLE_EVERY_MS = 15_000;
const FULL_SPEED_MS = 10_000;
/** Below it a slope is noise. */
const JUDGED_FROM_MINUTES = 10;
/** Rows that may be dead: what three rounds of autovacuum (one a minute) leave, and its threshold. */
const DEAD_MINUTES = 3;
const DEAD_THRESHOLD = 10_000;

export async function run(_rounds: number, { minutes, keep }: SoakContext): Promise<Row[]> {
  const world = await openWorld();
  try {
    const pace = new Pace((n) => world.produce(n));
    await pace.run(Number.POSITIVE_INFINITY, FULL_SPEED_MS);
    const full = await fullSpeed(world, pace);
    const perSecond = full * SHARE;
    console.log(`  ${Math.round(full)} events/s at full speed; ${Math.round(perSecond)} for ${minutes} minutes`);
    const samples = await soak(world, pace, perSecond, minutes);
    await drained(world, pace.produced);
    const effects = await world.effects();
    if (effects !== pace.produced) throw new Error(`${pace.produced} events had ${effects} effects`);
    keep('soak', {
      fullPerSecond: Math.round(full),
      perSecond: Math.round(perSecond),
      minutes,
      refused: pace.refused,
      samples,
    });
    return judgeSamples(samples, perSecond, minutes);
  } finally {
    await world.close();
  }
}

type SoakContext = Pick<BenchArguments, 'minutes'> & { keep(name: string, value: unknown): void };

/** Through all of it: producer, relay, consumer. */
async function fullSpeed(world: World, pace: Pace): Promise<number> {
  const before = { handled: world.handled, ms: performance.now() };
  await pace.run(Number.POSITIVE_INFINITY, FULL_SPEED_MS);
  const rate = ((world.handled - before.handled) * 1000) / (performance.now() - before.ms);
  await drained(world, pace.produced);
  return rate;
}

async function soak(world: World, pace: Pace, perSecond: number, minutes: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startMs = performance.now();
  const endMs = startMs + minutes * 60_000;
  const producing = pace.run(perSecond, minutes * 60_000);
  for (let nextMs = startMs; nextMs <= endMs; nextMs += SAMPLE_EVERY_MS) {
    await Promise.race([producing, sleep(Math.max(0, nextMs - performance.now()))]);
    const counts = { produced: pace.produced, handled: world.handled };
    const sample = await takeSample(world.database, (performance.now() - startMs) / 60_000, counts);
    samples.push(sample);
    if ((samples.length - 1) % 20 === 0) tell(sample);
  }
  await producing;
  return samples;
}

const tell = ({ minute, heapMiB, rssMiB, files, deadRows, produced, handled }: Sample): void =>
  console.log(
    `  minute ${minute.toFixed(1)}: heap ${heapMiB.toFixed(1)} MiB, rss ${rssMiB.toFixed(1)} MiB, ${files ?? '?'} files, ` +
      `dead ${Math.max(0, ...Object.values(deadRows))}, ${produced - handled} on their way, load ${loadavg()[0]?.toFixed(1)}`,
  );

async function drained(world: World, produced: number): Promise<void> {
  while (world.handled < produced) await sleep(20);
}

function judgeSamples(samples: readonly Sample[], perSecond: number, minutes: number): Row[] {
  const late = samples.filter(({ minute }) => minute >= minutes / 3);
  const base = { bench: 'soak', ours: 'producer, relay, consumer', beside: '' };
  const isJudged = minutes >= JUDGED_FROM_MINUTES;
  /** Growth in an hour as a share of what there is: a leak shows, the heap's own breathing does not. */
  const slope = (figure: string, of: (sample: Sample) => number, most: number): Row => {
    const values = late.map((sample): [number, number] => [sample.minute, of(sample)]);
    const { slope: perMinute, standardError } = leastSquares(values);
    const share = (perMinute * 60) / median(values.map(([, y]) => y));
    const error = (2 * standardError * 60) / median(values.map(([, y]) => y));
    const name = `${figure}, growth in an hour (± ${error.toFixed(3)})`;
    return { ...base, figure: name, value: share, unit: '', ...unlessShort(isJudged, most, share) };
  };
  const dead = Math.max(...samples.flatMap(({ deadRows }) => Object.values(deadRows)));
  const mostDead = Math.round(DEAD_THRESHOLD + DEAD_MINUTES * 60 * perSecond);
  const behind = Math.max(...late.map(({ produced, handled }) => produced - handled));
  return [
    slope('heap after collection', ({ heapMiB }) => heapMiB, 0.05),
    slope('resident memory', ({ rssMiB }) => rssMiB, 0.05),
    slope('outside the heap', ({ externalMiB }) => externalMiB, 0.05),
    ...(late.every(({ files }) => files !== undefined) ? [slope('open files', ({ files = 0 }) => files, 0.01)] : []),
    {
      ...base,
      figure: 'dead rows of a table, at most',
      value: dead,
      unit: '',
      ...unlessShort(isJudged, mostDead, dead),
    },
    { ...base, figure: 'events on their way, at most', value: behind, unit: '', target: '', isMet: undefined },
  ];
}

const unlessShort = (isJudged: boolean, most: number, value: number): Pick<Row, 'target' | 'isMet'> =>
  isJudged ? atMost(most, value) : { target: `≤ ${most}`, isMet: undefined };
