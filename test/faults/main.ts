/**
 * npm run faults -- --tier pr|ci|record [--seed N] [--replay FILE] [--events N] [--out FILE]
 * Exit 0: nothing lost, doubled, invented, reordered or stuck. 1: a problem. 2: wrong usage, or no fault met a message.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './places.ts';
import { readPlan, runTier, TIERS, writeReport } from './tier.ts';

const usage = (problem: string): never => {
  console.error(
    `${problem}\nusage: npm run faults -- --tier ${Object.keys(TIERS).join('|')} [--seed N] [--replay FILE]`,
  );
  process.exit(2);
};
const isTier = (name: string): name is keyof typeof TIERS => Object.hasOwn(TIERS, name);

const { values } = parseArgs({
  options: {
    tier: { type: 'string', default: 'pr' },
    seed: { type: 'string' },
    replay: { type: 'string' },
    events: { type: 'string' },
    faults: { type: 'string' },
    rate: { type: 'string' },
    out: { type: 'string' },
  },
});
const { tier } = values;
if (!isTier(tier)) usage(`no tier ${tier}`);
else {
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1e6));
  const size = {
    ...TIERS[tier],
    ...(values.events && { events: Number(values.events) }),
    ...(values.faults && { faults: Number(values.faults) }),
    ...(values.rate && { rate: Number(values.rate) }),
  };
  if (![seed, ...Object.values(size)].every(Number.isSafeInteger)) usage('a number is expected');
  const folder = join(root, '.faults');
  mkdirSync(folder, { recursive: true });
  const name = `${tier}-${seed}`;
  const replay = values.replay ? { replay: readPlan(values.replay) } : {};
  const say = (line: string) => console.log(line);
  const logFile = join(folder, `${name}.faults.jsonl`);
  const report = await runTier({ name: tier, seed, ...size, ...replay, say, logFile });
  const out = values.out ?? join(folder, `${name}.json`);
  writeReport(report, out);
  const { outcome, problems, verdict } = report;
  console.log(JSON.stringify(verdict));
  for (const problem of problems) console.log(`✗ ${problem}`);
  console.log(
    `${outcome} after ${report.seconds} s, ${report.faultsWithMessagesInFlight} of ${report.faults} faults met messages on their way`,
  );
  console.log(`report: ${out}\nagain: npm run faults -- --tier ${tier} --seed ${seed} --replay ${logFile}`);
  process.exitCode = outcome === 'passed' ? 0 : outcome === 'failed' ? 1 : 2;
}
