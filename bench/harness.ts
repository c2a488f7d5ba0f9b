import { cpus } from 'node:os';

/** One way of doing the work of a bench. */
export interface Side {
  readonly name: string;
  /** Does the work once; returns how many messages it was, and the time if it is not that of the whole call. */
  run(): Promise<{ readonly messages: number; readonly ms?: number; readonly cpuMs?: number }>;
}

export interface Figure {
  readonly perSecond: number;
  /** Microseconds of this process's CPU for one message. */
  readonly cpuUs: number;
}

export interface Row {
  readonly bench: string;
  readonly ours: string;
  readonly beside: string;
  readonly figure: string;
  readonly ratio: number;
  readonly target: string;
  readonly isMet: boolean;
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

async function measure(side: Side): Promise<Figure> {
  globalThis.gc?.();
  const cpu = process.cpuUsage();
  const start = performance.now();
  const { messages, ms, cpuMs } = await side.run();
  const wallMs = ms ?? performance.now() - start;
  const used = process.cpuUsage(cpu);
  return {
    perSecond: (messages * 1000) / wallMs,
    cpuUs: cpuMs === undefined ? (used.user + used.system) / messages : (cpuMs * 1000) / messages,
  };
}

/**
 * The sides in turn, A B C A B C …, one round more at the start that does not count. Ratios are made within a round,
 * so that a machine that slows down slows both.
 */
export async function interleave(sides: readonly Side[], rounds: number): Promise<Map<string, Figure[]>> {
  const figures = new Map<string, Figure[]>(sides.map((side) => [side.name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const side of sides) {
      const figure = await measure(side);
      if (round > 0) figures.get(side.name)?.push(figure);
    }
  }
  return figures;
}

export const ratio = (a: readonly number[], b: readonly number[]): number =>
  median(a.map((value, i) => value / (b[i] ?? Number.NaN)));

export interface Target {
  readonly bench: string;
  readonly ours: string;
  readonly beside: string;
  /** Ours is to reach this share of the other's throughput. */
  readonly throughput?: number;
  /** Ours is to need at most this multiple of the other's CPU. */
  readonly cpu?: number;
}

/** The rows of the table: medians of ratios within rounds. */
export function judge(figures: Map<string, Figure[]>, target: Target): Row[] {
  const ours = figures.get(target.ours) ?? [];
  const beside = figures.get(target.beside) ?? [];
  const row = (figure: string, value: number, wanted: number, isMet: boolean, sign: string): Row => ({
    bench: target.bench,
    ours: target.ours,
    beside: target.beside,
    figure,
    ratio: value,
    target: `${sign} ${wanted}`,
    isMet,
  });
  const rows: Row[] = [];
  if (target.throughput !== undefined) {
    const value = ratio(
      ours.map((f) => f.perSecond),
      beside.map((f) => f.perSecond),
    );
    rows.push(row('throughput', value, target.throughput, value >= target.throughput, '≥'));
  }
  if (target.cpu !== undefined) {
    const value = ratio(
      ours.map((f) => f.cpuUs),
      beside.map((f) => f.cpuUs),
    );
    rows.push(row('client CPU', value, target.cpu, value <= target.cpu, '≤'));
  }
  return rows;
}

export function printFigures(figures: Map<string, Figure[]>): void {
  for (const [name, list] of figures) {
    const rate = Math.round(median(list.map((f) => f.perSecond)));
    const cpu = median(list.map((f) => f.cpuUs)).toFixed(1);
    console.log(`  ${name.padEnd(52)} ${String(rate).padStart(8)} /s  ${cpu.padStart(7)} us CPU`);
  }
}

export function printTable(rows: readonly Row[]): void {
  console.log('\n| bench | ours | beside | figure | ratio | target | |\n| --- | --- | --- | --- | ---: | --- | --- |');
  for (const r of rows) {
    const cells = [r.bench, r.ours, r.beside, r.figure, r.ratio.toFixed(2), r.target, r.isMet ? 'met' : 'MISSED'];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

export const machine = (): string => `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}`;

/** 987 bytes of JSON, as an event of ours. */
export function samplePayload(n: number): object {
  return {
    id: n,
    customer: { id: 4711, name: 'Ann Example', email: 'ann@example.com', tags: ['new', 'vip', 'newsletter'] },
    lines: Array.from({ length: 6 }, (_, i) => ({
      sku: `SKU-${1000 + i}`,
      name: `Article number ${i}`,
      quantity: i + 1,
      price: 9.95 * (i + 1),
    })),
    total: 208.95,
    note: 'x'.repeat(160),
  };
}
