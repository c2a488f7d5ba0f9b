import { atMost, median, type Row } from '../harness.ts';
import { leastSquares } from '../least-squares.ts';
import type { Curve } from './svg.ts';

/** CPU and wall clock of a run, in microseconds for one unit of work. */
export interface Cost {
  readonly cpuUs: number;
  readonly wallUs: number;
}

/** Above it, a cost for one message grows with the number of messages: worse than linear in all. */
const LINEAR = 0.15;

export interface Measured {
  readonly name: string;
  /** What grows. */
  readonly of: string;
  readonly points: readonly { readonly size: number; readonly cost: Cost }[];
  /** Power of the size with which the cost of one unit may grow: 0 for messages, 1 for bytes of a message. */
  readonly power: 0 | 1;
}

/** Each size once in a round, so that a machine that slows down does not bend the curve; medians. */
export async function measure(
  sizes: readonly number[],
  rounds: number,
  once: (size: number) => Promise<Cost>,
): Promise<Measured['points']> {
  const costs = new Map<number, Cost[]>(sizes.map((size) => [size, []]));
  // The first round is for the compiler.
  for (let round = -1; round < rounds; round++) {
    for (const size of sizes) {
      const cost = await once(size);
      if (round >= 0) costs.get(size)?.push(cost);
    }
  }
  return sizes.map((size) => {
    const all = costs.get(size) ?? [];
    return { size, cost: { cpuUs: median(all.map((c) => c.cpuUs)), wallUs: median(all.map((c) => c.wallUs)) } };
  });
}

/**
 * The power with which the cost of one unit grows, by the slope on logarithmic axes. Judged by CPU, which a busy machine
 * moves less than the clock; the clock's is told.
 */
export function judgeGrowth({ name, of, points, power }: Measured): Row[] {
  const exponent = (figure: keyof Cost): number =>
    leastSquares(points.map(({ size, cost }) => [Math.log10(size), Math.log10(cost[figure])])).slope;
  const base = { bench: 'growth', ours: name, beside: `${of} ${points.map(({ size }) => size).join(', ')}`, unit: '' };
  const row = { ...base, unit: '' } as const;
  const cpu = exponent('cpuUs');
  return [
    { ...row, figure: 'power, CPU for one', value: cpu, ...atMost(power + LINEAR, cpu) },
    { ...row, figure: 'power, time for one', value: exponent('wallUs'), target: '', isMet: undefined },
  ];
}

export const curvesOf = ({ points }: Measured): Curve[] => [
  { name: 'CPU of the process', points: points.map(({ size, cost }) => [size, cost.cpuUs]) },
  { name: 'time', points: points.map(({ size, cost }) => [size, cost.wallUs]) },
];
