/**
 * `npm run bench` (all, written to docs/records) or `npm run bench -- relay publish`: ours beside the plain libraries in one interleaved run.
 * SVC_COMM_BENCH_ROUNDS (default 5) is the number of counted rounds.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { machine, printTable, type Row } from './harness.ts';

const BENCHES = [
  'publish',
  'consume',
  'relay',
  'latency',
  'enqueue',
  'call',
  'rest',
  'embedded',
  'http',
  'task',
] as const;
type Bench = (typeof BENCHES)[number];
interface BenchModule {
  /** Both sides' settings, and what would be cheating. */
  readonly head: string;
  run(rounds: number): Promise<Row[]>;
}

const isBench = (name: string): name is Bench => (BENCHES as readonly string[]).includes(name);
const asked = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const unknown = asked.filter((name) => !isBench(name));
if (unknown.length > 0) {
  console.error(`no such bench: ${unknown.join(', ')}; there are ${BENCHES.join(', ')}`);
  process.exit(2);
}
const rounds = Number(process.env.SVC_COMM_BENCH_ROUNDS ?? 5);
console.log(`${machine()}, ${rounds} rounds, medians of ratios within a round`);
const rows: Row[] = [];
for (const name of asked.length > 0 ? asked : BENCHES) {
  const bench: BenchModule = await import(`./${name}.bench.ts`);
  console.log(`\n${name}\n${bench.head.trim().replaceAll(/^/gm, '  ')}`);
  rows.push(...(await bench.run(rounds)));
}
printTable(rows);
if (asked.length === 0) {
  mkdirSync('docs/records', { recursive: true });
  const file = `docs/records/bench-${new Date().toISOString().slice(0, 10)}.json`;
  writeFileSync(file, `${JSON.stringify({ machine: machine(), rounds, rows }, null, 2)}\n`);
  console.log(`\nwritten to ${file}`);
}
