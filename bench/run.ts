/**
 * `npm run bench` (all) or `npm run bench -- relay publish`: ours beside the plain libraries in one interleaved run.
 * --rounds N (5, on a slow machine 3): counted rounds. --minutes N (30): of the soak. --largest N (100000): backlog of the
 * growth. --record: also written to docs/records, with versions, machine and settings; --record-to FILE: there.
 * --profile DIR: where the CPU of this process goes, for each side; figures of such a run are the profiler's too.
 */
import { slowness } from '../test/support/slowness.ts';
import { type Bench, type BenchArguments, readArguments } from './arguments.ts';
import { median, printTable, type Row } from './harness.ts';
import { processProfile } from './profile.ts';
import { writeRecord } from './record.ts';
import { load, machine, readVersions } from './versions.ts';

interface BenchModule {
  /** Both sides' settings, and what would be cheating. */
  readonly head: string;
  /** @param context `keep` puts something beside the rows into the record */
  run(rounds: number, context: BenchArguments & { keep(name: string, value: unknown): void }): Promise<Row[]>;
}

/** Of `slowness()`. */
const SLOW = 1.3;

const given = argumentsOrExit();
const { names, rounds = usualRounds() } = given;
console.log(`${machine()}, load ${load()}, ${rounds} rounds, medians of ratios within a round`);
const rows: Row[] = [];
const kept: Record<string, unknown> = {};
const benches: Partial<Record<Bench, { readonly settings: string; readonly seconds: number }>> = {};
const loadBefore = load();
// Before anything runs: a checkout may move on meanwhile.
const versions = await readVersions();
if (given.profile !== undefined) processProfile.open(given.profile);
const began = performance.now();
for (const name of names) {
  const bench: BenchModule = await import(`./${name}.bench.ts`);
  console.log(`\n${name}\n${bench.head.trim().replaceAll(/^/gm, '  ')}`);
  const started = performance.now();
  const keep = (what: string, value: unknown) => {
    kept[what] = value;
  };
  rows.push(...(await bench.run(rounds, { ...given, keep })));
  const took = seconds(started);
  console.log(`  ${took} s`);
  benches[name] = { settings: bench.head.trim(), seconds: took };
}
printTable(rows);
console.log(`\n${seconds(began)} s; load ${loadBefore} before, ${load()} after`);
if (given.record !== undefined) {
  console.log(`written to ${writeRecord(given, { loadBefore, rounds, versions, benches, rows, ...kept })}`);
}

/** All benches are to be done in ten minutes: where each round takes twice as long, there are fewer. */
function usualRounds(): number {
  const startOfNode = median(Array.from({ length: 5 }, slowness));
  return startOfNode < SLOW ? 5 : 3;
}

function argumentsOrExit(): BenchArguments {
  try {
    return readArguments(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}

function seconds(sinceMs: number): number {
  return Math.round((performance.now() - sinceMs) / 1000);
}
