import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { BenchDatabase } from '../database.ts';

/** What the process and its tables hold at a moment. */
export interface Sample {
  readonly minute: number;
  readonly rssMiB: number;
  /** After a collection: what is reachable. */
  readonly heapMiB: number;
  readonly externalMiB: number;
  /** undefined where the system does not tell. */
  readonly files: number | undefined;
  readonly deadRows: Readonly<Record<string, number>>;
  readonly tableMiB: Readonly<Record<string, number>>;
  readonly produced: number;
  readonly handled: number;
}

const MIB = 1024 * 1024;
const round = (value: number): number => Math.round(value * 1000) / 1000;

let collect: (() => void) | undefined;

function collected(): NodeJS.MemoryUsage {
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  return process.memoryUsage();
}

export async function takeSample(
  { pool, schema }: BenchDatabase,
  minute: number,
  counts: Pick<Sample, 'produced' | 'handled'>,
): Promise<Sample> {
  const { rows } = await pool.query<{ name: string; dead: string; bytes: string }>(
    `SELECT relname AS name, n_dead_tup AS dead, pg_table_size(relid) AS bytes
       FROM pg_stat_user_tables WHERE schemaname = $1 AND n_tup_ins > 0 ORDER BY relname`,
    [schema],
  );
  const { rss, heapUsed, external } = collected();
  return {
    minute: round(minute),
    rssMiB: round(rss / MIB),
    heapMiB: round(heapUsed / MIB),
    externalMiB: round(external / MIB),
    files: openFiles(),
    deadRows: Object.fromEntries(rows.map(({ name, dead }) => [name, Number(dead)])),
    tableMiB: Object.fromEntries(rows.map(({ name, bytes }) => [name, round(Number(bytes) / MIB)])),
    ...counts,
  };
}

function openFiles(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return undefined;
  }
}
