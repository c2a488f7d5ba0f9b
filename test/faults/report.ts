import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import type { Runs, Verdict } from './oracle.ts';
import { root } from './places.ts';
import type { World } from './world.ts';

export interface Report {
  readonly tier: string;
  readonly seed: number;
  readonly startedAt: string;
  readonly seconds: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly machine: string;
  readonly outcome: 'passed' | 'failed' | 'not run: no fault met a message on its way';
  readonly problems: readonly string[];
  /** Of what the oracle found: what passed on the wires, and the handler runs. */
  readonly evidence: readonly string[];
  readonly verdict: Verdict;
  readonly stuckRows: number;
  readonly runs: Runs;
  readonly faults: number;
  readonly faultsWithMessagesInFlight: number;
  readonly unaskedExits: number;
  readonly slowestRecoveryMs: number;
  readonly drainMs: number;
  /** Of each process in the end, before it was stopped. */
  readonly usage: Readonly<Record<string, { readonly files: number; readonly rssMiB: number } | undefined>>;
}

export async function versions(world: World): Promise<Record<string, string>> {
  const [postgres] = await world.oracle.query<{ server_version: string }>('SHOW server_version');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return {
    'svc-comm': `${version} (${commit()})`,
    node: process.version,
    postgresql: postgres?.server_version ?? '',
    rabbitmq: (await world.rabbit.ctl('version')).trim(),
  };
}

export const machine = (): string =>
  `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`;

/** Of a copy without a history there is none to tell. */
function commit(): string {
  try {
    const text = execFileSync('git', ['describe', '--always', '--dirty'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return String(text).trim();
  } catch {
    return 'no commit';
  }
}

export function writeReport(report: object, file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}
