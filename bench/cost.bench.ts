import { calibratedLoop } from './cost/loop.ts';
import { paths } from './cost/paths.ts';
import { ratioOf } from './cost/ratio.ts';
import { atMost, type Row } from './harness.ts';

export const head = `
Ours: the parts of the hot paths that need neither broker nor database, an event of 987 bytes. Beside them, in turn within
the same moments: a loop that parses and writes that JSON, makes bytes of it and asks a map. CPU of one message by that of
one turn, medians of 15. The bounds are two to three times what was measured: a path that has become so much dearer is
found on any machine, in 'npm test' as well.
Cheating would be: a loop that does more than it says, a handler that gets no payload, messages that are not acked.`;

export async function run(): Promise<Row[]> {
  const loop = calibratedLoop();
  const rows: Row[] = [];
  for (const path of await paths()) {
    const { ratio, us, loopUs } = await ratioOf(path, loop);
    console.log(`  ${path.name.padEnd(36)} ${us.toFixed(2).padStart(8)} us  loop ${loopUs.toFixed(2)} us`);
    const row = { bench: 'cost', ours: path.name, beside: 'loop', figure: 'CPU', value: ratio, unit: '' } as const;
    rows.push({ ...row, ...atMost(path.most, ratio) });
  }
  return rows;
}
