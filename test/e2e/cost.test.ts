import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { repository } from '../support/cli-project.ts';

interface CostRow {
  readonly ours: string;
  readonly value: number;
  readonly target: string;
  readonly isMet: boolean;
}

/** In a process of its own, of the compiled code: what runs beside a test in its process would be counted with it. */
function measure(): CostRow[] {
  const folder = mkdtempSync(join(tmpdir(), 'svc-comm-cost-'));
  const file = join(folder, 'cost.json');
  try {
    execFileSync(process.execPath, ['--import', 'tsx', 'bench/run.ts', 'cost', '--record-to', file], {
      cwd: repository,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return JSON.parse(readFileSync(file, 'utf8')).rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

it('costs no more CPU for a message, beside a loop of plain JSON, than each hot path may', () => {
  let over: readonly CostRow[] = measure();
  expect(over.map(({ ours }) => ours)).toContain('consume: a delivery to its ack');
  // A path that has become dearer is so each time; what met bad luck is not.
  for (let again = 0; again < 3; again++) {
    over = over.filter(({ isMet }) => !isMet);
    if (over.length === 0) break;
    const names = over.map(({ ours }) => ours);
    over = measure().filter(({ ours }) => names.includes(ours));
  }
  expect(over.filter(({ isMet }) => !isMet)).toEqual([]);
}, 300_000);
