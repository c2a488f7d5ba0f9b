import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './places.ts';
import type { Report } from './report.ts';
import { runTier, type TierOptions } from './tier.ts';

export const PEERS = [
  'amqplib',
  'amqp-connection-manager',
  'rascal',
  'rabbitmq-client',
  'pg-transactional-outbox',
] as const;

export interface ComparisonOptions {
  readonly seed: number;
  readonly events: number;
  readonly faults: number;
  /** Ours is `svc-comm`. */
  readonly names: readonly string[];
  readonly say: (line: string) => void;
  readonly logFile: string;
}

/** The same seed and the same oracle for ours and for what others build on: the last has an outbox and an inbox as well. */
export async function compare({ names, ...options }: ComparisonOptions): Promise<Report[]> {
  const folder = join(root, 'test/faults/peers');
  execFileSync('npm', ['ci', '--silent', '--no-audit', '--no-fund'], { cwd: folder, stdio: 'inherit' });
  const reports: Report[] = [];
  for (const name of names) {
    const run: TierOptions = {
      ...options,
      ...{ name, nodes: 1, rate: 250, stuckMs: 20_000, victims: ['producer', 'consumer'] },
      // Without dead letters of their own, poison would go round for ever.
      producerEnv: { FAULTS_POISON_ONE_IN: '1000000000' },
      ...(name === 'svc-comm' ? {} : { peer: name }),
    };
    reports.push(await runTier(run));
  }
  return reports;
}

const COLUMNS = ['lost', 'duplicateEffects', 'ghosts', 'inversions'] as const;

export function comparisonTable(reports: readonly Report[]): string {
  const rows = reports.map(({ tier, verdict, unaskedExits, slowestRecoveryMs }) => {
    const figures = COLUMNS.map((name) => verdict[name]);
    return `| ${[tier, verdict.produced, ...figures, unaskedExits, `${(slowestRecoveryMs / 1000).toFixed(1)} s`].join(' | ')} |`;
  });
  const head = '| | events | lost | effects twice | ghosts | out of order | unasked exits | slowest recovery |';
  return [head, '| --- | --- | --- | --- | --- | --- | --- | --- |', ...rows].join('\n');
}
