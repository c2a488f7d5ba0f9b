/**
 * npm run model [-- --quick]: outbox, two relays, broker and two consumers as a model, all of its states; then each rule
 * taken away, which has to give a counterexample. Exit 1 when a promise does not hold, or holds without a rule.
 */
import { explore } from './explore.ts';
import { RULE_NAMES, RULES } from './rules.ts';
import { QUICK, WITHOUT_A_RULE } from './sizes.ts';
import type { Size } from './state.ts';

const isQuick = process.argv.includes('--quick');
const SIZES: readonly Size[] = isQuick
  ? [QUICK]
  : [
      { keys: [0], copies: 2, faults: Number.POSITIVE_INFINITY },
      { keys: [0, 0], copies: 2, faults: 3 },
      { keys: [0, 0, 1], copies: 0, faults: 3 },
    ];
let isGood = true;

for (const size of SIZES) {
  const began = performance.now();
  const found = explore(size, RULES);
  const what = `${size.keys.length} messages, ${new Set(size.keys).size} keys, at most ${size.copies} copies of each and ${Number.isFinite(size.faults) ? size.faults : 'any number of'} faults`;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  if (found.kind === 'holds')
    console.log(`✓ ${what}: P1, P2 and P3 hold in all ${found.states} states, to depth ${found.depth} (${seconds} s)`);
  else {
    isGood = false;
    console.log(`✗ ${what}: ${found.promise}\n    ${found.path.join('\n    ')}`);
  }
}
for (const rule of RULE_NAMES) {
  const found = explore(WITHOUT_A_RULE, { ...RULES, [rule]: false });
  if (found.kind === 'violated')
    console.log(`✓ without ${rule}, after ${found.states} states: ${found.promise}\n    ${found.path.join('\n    ')}`);
  else {
    isGood = false;
    console.log(
      `✗ without ${rule} all ${found.states} states are good: it is not needed, or the model does not see why`,
    );
  }
}
process.exitCode = isGood ? 0 : 1;
