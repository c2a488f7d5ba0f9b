import { consumePath } from './cost/consume-path.ts';
import { calibratedLoop } from './cost/loop.ts';
import { decodePath } from './cost/paths.ts';
import { type Path, type Ratio, ratioOf } from './cost/ratio.ts';
import { judgeGrowth } from './growth/curve.ts';
import { lookUpGrowth, NEVER_SEEN, SEEN } from './growth/look-up.ts';
import { atMost, type Row, timed } from './harness.ts';

export const head = `
Ours alone, by CPU. A look-up in a router of 1, 100 and 10,000 patterns 'type.N.#': its power is the slope on logarithmic axes
(0 is flat), and what one takes among 10,000; once with at most 1,000 routing keys, which are remembered, once with keys
that each come once. Own CPU: a delivery through lanes, router, layers and an empty handler to its ack, without decoding;
when all of it is compiled.
Cheating would be: keys of one pattern only, keys without a match, a handler that gets no payload.`;

export async function run(rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const keys of [SEEN, NEVER_SEEN]) {
    const measured = await lookUpGrowth(rounds, keys);
    const told = measured.points.map(({ size, cost }) => `${size}: ${cost.cpuUs.toFixed(2)}`).join(', ');
    console.log(`  ${keys.name}, us CPU for one by patterns: ${told}`);
    const us = measured.points.at(-1)?.cost.cpuUs ?? Number.NaN;
    const base = { bench: 'router', ours: keys.name, beside: '', unit: 'us' } as const;
    rows.push(...judgeGrowth(measured).slice(0, 1), { ...base, figure: 'CPU for one', value: us, ...atMost(1, us) });
  }
  const loop = calibratedLoop();
  const [consume, decode] = [await warmed(await consumePath(), loop), await warmed(await decodePath(), loop)];
  const own = consume.us - decode.us;
  console.log(`  a delivery to its ack ${consume.us.toFixed(2)} us, its decoding ${decode.us.toFixed(2)} us`);
  const row = { bench: 'router', ours: 'lanes, router, layers, ack', beside: '', unit: 'us' } as const;
  return [...rows, { ...row, figure: 'own CPU a message', value: own, ...atMost(3, own) }];
}

const SLICE = 50_000;
const MOST_SLICES = 12;

/** Compiled to the end: on a busy machine that comes late, since the compiler's threads wait for their turn too. */
async function warmed(path: Path, loop: Path): Promise<Ratio> {
  let best = Number.POSITIVE_INFINITY;
  for (let slice = 0, since = 0; slice < MOST_SLICES && since < 3; slice++) {
    const { cpuMs } = await timed(SLICE, async () => path.run(SLICE));
    since = cpuMs < best * 0.95 ? 0 : since + 1;
    best = Math.min(best, cpuMs);
  }
  return ratioOf(path, loop);
}
