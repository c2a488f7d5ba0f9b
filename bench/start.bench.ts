import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { atMost, median, type Row } from './harness.ts';

export const head = `
Ours: 'svc-comm --help', as it is built, by the node that runs this. Beside it: 'node -e 0'. By turns, from the spawn to the
end of the process; the median of what ours takes more within a turn. Memory and CPU in turns of their own, told at the end
by the process itself (VmHWM of /proc, where there is one: the most that was ever resident; of Linux only).
Cheating would be: another node or other flags for one of the two, a help that is not printed, a warm-up that only ours has.`;

const TURNS_PER_ROUND = 5;
const bin = fileURLToPath(new URL('../dist/bin/svc-comm.js', import.meta.url));
const atExit = fileURLToPath(new URL('./start/at-exit.cjs', import.meta.url));
const SIDES = { node: ['-e', '0'], ours: [bin, '--help'] } as const;
type Name = keyof typeof SIDES;
const NAMES: readonly Name[] = ['node', 'ours'];

/** What the process tells of itself. */
interface AtExit {
  readonly cpuMs: number;
  readonly peakMiB: number | undefined;
}

export async function run(rounds: number): Promise<Row[]> {
  const turns = rounds * TURNS_PER_ROUND;
  const times: Record<Name, number>[] = [];
  const ends: Record<Name, AtExit>[] = [];
  for (let turn = -1; turn < turns; turn++) {
    const time = { node: await timeOf('node'), ours: await timeOf('ours') };
    const end = { node: await endOf('node'), ours: await endOf('ours') };
    if (turn < 0) continue;
    times.push(time);
    ends.push(end);
  }
  for (const name of NAMES) {
    const [ms, cpuMs] = [times.map((time) => time[name]), ends.map((end) => end[name].cpuMs)].map(median);
    const memory = peak(ends, name)?.toFixed(1) ?? '?';
    console.log(`  ${name.padEnd(4)} ${ms?.toFixed(0)} ms, ${cpuMs?.toFixed(0)} ms CPU, at most ${memory} MiB`);
  }
  const base = { bench: 'start', ours: 'svc-comm --help', beside: 'node -e 0' };
  const moreMs = median(times.map(({ node, ours }) => ours - node));
  const moreCpuMs = median(ends.map(({ node, ours }) => ours.cpuMs - node.cpuMs));
  const mib = peak(ends, 'ours');
  return [
    { ...base, figure: 'time, more', value: moreMs, unit: 'ms', ...atMost(25, moreMs) },
    { ...base, figure: 'CPU, more', value: moreCpuMs, unit: 'ms', target: '', isMet: undefined },
    ...(mib === undefined
      ? []
      : [{ ...base, beside: '', figure: 'peak memory', value: mib, unit: 'MiB' as const, ...atMost(50, mib) }]),
  ];
}

function peak(ends: readonly Record<Name, AtExit>[], name: Name): number | undefined {
  const all = ends.map((end) => end[name].peakMiB).filter((mib) => mib !== undefined);
  return all.length < ends.length ? undefined : median(all);
}

async function timeOf(name: Name): Promise<number> {
  const before = performance.now();
  const child = spawn(process.execPath, SIDES[name], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  const ms = performance.now() - before;
  if (name === 'ours' && !output.includes('runpublisher')) throw new Error('no help was printed');
  return ms;
}

async function endOf(name: Name): Promise<AtExit> {
  const args = ['--require', atExit, ...SIDES[name]];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
  const told = await text(child.stdio[3] as Readable);
  return JSON.parse(told);
}
