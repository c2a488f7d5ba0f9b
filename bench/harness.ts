import { processProfile } from './profile.ts';

/** What one run of a side took. CPU is that of this process. */
export interface Run {
  readonly messages: number;
  readonly ms: number;
  readonly cpuMs: number;
  /** CPU of others that worked for it, as far as it can be seen. */
  readonly otherCpuMs?: number | undefined;
}

/** One way of doing the work of a bench. */
export interface Side {
  readonly name: string;
  /** Does the work once. What it prepares and clears away is not in the time that it returns. */
  run(): Promise<Run>;
}

export interface Figure {
  readonly perSecond: number;
  /** Microseconds for one message. */
  readonly cpuUs: number;
  readonly otherCpuUs: number | undefined;
}

/** A line of the table. */
export interface Row {
  readonly bench: string;
  readonly ours: string;
  readonly beside: string;
  readonly figure: string;
  readonly value: number;
  readonly unit: '' | 'ms' | 'us' | 'MiB';
  readonly target: string;
  /** undefined: told for comparison, without a target. */
  readonly isMet: boolean | undefined;
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[middle - ((sorted.length + 1) % 2)], sorted[middle]];
  return (low + high) / 2;
};

export const quantile = (values: readonly number[], q: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
};

/** Wall clock and CPU between two moments. */
export class Stopwatch {
  #startMs = Number.NaN;
  #cpu = process.cpuUsage();

  start(): void {
    processProfile.begin();
    this.#cpu = process.cpuUsage();
    this.#startMs = performance.now();
  }

  stop(messages: number): Run {
    const ms = performance.now() - this.#startMs;
    const { user, system } = process.cpuUsage(this.#cpu);
    processProfile.end();
    return { messages, ms, cpuMs: (user + system) / 1000 };
  }
}

export async function timed(messages: number, work: () => Promise<unknown>): Promise<Run> {
  const watch = new Stopwatch();
  watch.start();
  await work();
  return watch.stop(messages);
}

const figureOf = ({ messages, ms, cpuMs, otherCpuMs }: Run): Figure => ({
  perSecond: (messages * 1000) / ms,
  cpuUs: (cpuMs * 1000) / messages,
  otherCpuUs: otherCpuMs === undefined ? undefined : (otherCpuMs * 1000) / messages,
});

/** Rounds at the start that do not count: what is compiled late would be measured interpreted. */
const WARM_UP_ROUNDS = 2;

/**
 * The sides in turn, A B C A B C …. Ratios are made within a round, so that a machine that slows down slows both.
 * No forced collection between them: it throws compiled code away with the hidden classes of objects that are dead for
 * the moment, and what starts anew in each run never gets warm (measured: twice the CPU for our consumer).
 */
export async function interleave(sides: readonly Side[], rounds: number): Promise<Map<string, Figure[]>> {
  const figures = new Map<string, Figure[]>(sides.map((side) => [side.name, []]));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    for (const side of sides) {
      if (round < 0) await side.run();
      else figures.get(side.name)?.push(figureOf(await processProfile.of(side.name, side.run)));
    }
  }
  printFigures(figures);
  for (const line of processProfile.take()) console.log(`  ${line}`);
  return figures;
}

/** Median of the ratios within rounds. */
export const ratio = (a: readonly number[], b: readonly number[]): number =>
  median(a.map((value, i) => value / (b[i] ?? Number.NaN)));

export interface Target {
  readonly bench: string;
  readonly ours: string;
  readonly beside: string;
  /** Ours is to reach this share of the other's throughput. 0: shown without a target. */
  readonly throughput?: number;
  /** Ours is to take at most this multiple of the other's time. */
  readonly time?: number;
  /** Ours is to need at most this multiple of the other's CPU. */
  readonly cpu?: number;
}

/** The rows of the table: medians of ratios within rounds. */
export function judge(figures: Map<string, Figure[]>, target: Target): Row[] {
  const { bench, ours, beside, throughput, time, cpu } = target;
  const values = (name: string, which: 'perSecond' | 'cpuUs') => (figures.get(name) ?? []).map((f) => f[which]);
  const speed = ratio(values(ours, 'perSecond'), values(beside, 'perSecond'));
  const row = { bench, ours, beside, unit: '' } as const;
  const rows: Row[] = [];
  if (throughput !== undefined)
    rows.push({ ...row, figure: 'throughput', value: speed, ...atLeast(throughput, speed) });
  if (time !== undefined) rows.push({ ...row, figure: 'time', value: 1 / speed, ...atMost(time, 1 / speed) });
  if (cpu !== undefined) {
    const value = ratio(values(ours, 'cpuUs'), values(beside, 'cpuUs'));
    rows.push({ ...row, figure: 'client CPU', value, ...atMost(cpu, value) });
  }
  return rows;
}

type Verdict = Pick<Row, 'target' | 'isMet'>;

const NO_TARGET: Verdict = { target: '', isMet: undefined };

export const atLeast = (wanted: number, value: number): Verdict =>
  wanted === 0 ? NO_TARGET : { target: `≥ ${wanted}`, isMet: value >= wanted };

export const atMost = (wanted: number, value: number): Verdict => ({ target: `≤ ${wanted}`, isMet: value <= wanted });

function printFigures(figures: Map<string, Figure[]>): void {
  for (const [name, list] of figures) {
    const rate = Math.round(median(list.map((f) => f.perSecond)));
    const cpu = median(list.map((f) => f.cpuUs)).toFixed(1);
    const others = list.map((f) => f.otherCpuUs).filter((us) => us !== undefined);
    const other = others.length === 0 ? '' : `  ${median(others).toFixed(1).padStart(7)} us PostgreSQL`;
    console.log(`  ${name.padEnd(52)} ${String(rate).padStart(8)} /s  ${cpu.padStart(7)} us CPU${other}`);
  }
}

export function printTable(rows: readonly Row[]): void {
  console.log(
    '\n| bench | ours | beside | figure | ours ÷ beside | target | |\n| --- | --- | --- | --- | ---: | --- | --- |',
  );
  for (const r of rows) {
    const value = r.unit === '' ? r.value.toFixed(2) : `${r.value.toFixed(2)} ${r.unit}`;
    const verdict = r.isMet === undefined ? '' : r.isMet ? 'met' : 'MISSED';
    console.log(`| ${[r.bench, r.ours, r.beside, r.figure, value, r.target, verdict].join(' | ')} |`);
  }
}
