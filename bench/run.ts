/**
 * `npm run bench` (all) or `npm run bench -- relay publish`: ours beside the plain libraries in one interleaved run.
 * --rounds N (5, on a slow machine 3): counted rounds. --minutes N (30): of the soak. --largest N (100000): backlog of the
 * growth. --record: also written to docs/records, with versions, machine and settings; --record-to FILE: there.
 * --profile DIR: where the CPU of this process goes, for each side; figures of such a run are the profiler's too.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { slowness } from '../test/support/slowness.ts';
import { type Bench, type BenchArguments, readArguments } from './arguments.ts';
import { median, printTable, type Row } from './harness.ts';
import type { Answer, Order } from './one.ts';
import { writeRecord } from './record.ts';
import { load, machine, readVersions } from './versions.ts';

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
const began = performance.now();
for (const name of names) {
  console.log(`\n${name}`);
  const started = performance.now();
  const measured = await inItsProcess({ name, rounds, given });
  rows.push(...measured.rows);
  Object.assign(kept, measured.kept);
  const took = seconds(started);
  console.log(`  ${took} s`);
  benches[name] = { settings: measured.head, seconds: took };
}
printTable(rows);
console.log(`\n${seconds(began)} s; load ${loadBefore} before, ${load()} after`);
if (given.record !== undefined) {
  console.log(`written to ${writeRecord(given, { loadBefore, rounds, versions, benches, rows, ...kept })}`);
}

async function inItsProcess(order: Order) {
  const child = fork(fileURLToPath(new URL('one.ts', import.meta.url)), { serialization: 'advanced' });
  const ended = once(child, 'exit');
  let head = '';
  let measured: Extract<Answer, { rows: unknown }> | undefined;
  child.on('message', (answer: Answer) => {
    if ('rows' in answer) measured = answer;
    else {
      head = answer.head.trim();
      console.log(head.replaceAll(/^/gm, '  '));
    }
  });
  child.send(order);
  const [code, signal] = await ended;
  if (code === 0 && measured) return { head, ...measured };
  throw new Error(`the bench ${order.name} ended with ${signal ?? `exit code ${code}`}, and its words above say why`);
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
