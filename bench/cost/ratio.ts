import { median } from '../harness.ts';

/** Work that can be done any number of times. */
export interface Path {
  readonly name: string;
  /** Of one message beside one turn of the loop. */
  readonly most: number;
  run(times: number): unknown;
}

export interface Ratio {
  readonly ratio: number;
  readonly us: number;
  readonly loopUs: number;
}

const ROUNDS = 15;
const WARM_UP_ROUNDS = 6;
const SLICE_US = 20_000;

/**
 * CPU of the path for one message, by that of the loop for one turn: both were measured within the same few hundredths of
 * a second, so that a slow, throttled or busy machine slows both, and the median leaves out what met a collection alone.
 */
export async function ratioOf(path: Path, loop: Path): Promise<Ratio> {
  const sides = [loop, path];
  const times = [1, 1];
  const samples: { us: number; loopUs: number }[] = [];
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    const us: number[] = [];
    for (const [i, side] of sides.entries()) {
      const count = times[i] ?? 1;
      const spent = await cpuUs(side, count);
      us.push(spent / count);
      // Until it is warm it says little about how often it goes into a slice.
      if (round < 0) times[i] = Math.max(1, Math.round((count * SLICE_US) / Math.max(spent, SLICE_US / 50)));
    }
    const [loopUs = Number.NaN, pathUs = Number.NaN] = us;
    if (round >= 0) samples.push({ us: pathUs, loopUs });
  }
  return {
    ratio: median(samples.map(({ us, loopUs }) => us / loopUs)),
    us: median(samples.map(({ us }) => us)),
    loopUs: median(samples.map(({ loopUs }) => loopUs)),
  };
}

async function cpuUs(path: Path, times: number): Promise<number> {
  const before = process.cpuUsage();
  await path.run(times);
  const { user, system } = process.cpuUsage(before);
  return user + system;
}
