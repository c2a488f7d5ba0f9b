/**
 * One bench, in the process that `run.ts` starts for it: shapes that compiled code has seen and the old generation of
 * another bench would count, and its user has none of them. What it measured goes back by message.
 */
import type { Bench, BenchArguments } from './arguments.ts';
import type { Row } from './harness.ts';
import { processProfile } from './profile.ts';

export interface Order {
  readonly name: Bench;
  readonly rounds: number;
  readonly given: BenchArguments;
}

/** A bench's own words come with its first answer, before it begins. */
export type Answer =
  | { readonly head: string }
  | { readonly rows: readonly Row[]; readonly kept: Readonly<Record<string, unknown>> };

export interface BenchModule {
  /** Both sides' settings, and what would be cheating. */
  readonly head: string;
  /** @param context `keep` puts something beside the rows into the record */
  run(rounds: number, context: BenchArguments & { keep(name: string, value: unknown): void }): Promise<Row[]>;
}

process.once('message', async ({ name, rounds, given }: Order) => {
  const answer = (what: Answer) => new Promise((resolve) => process.send?.(what, resolve));
  const bench: BenchModule = await import(`./${name}.bench.ts`);
  await answer({ head: bench.head });
  if (given.profile !== undefined) processProfile.open(given.profile);
  const kept: Record<string, unknown> = {};
  const keep = (what: string, value: unknown) => {
    kept[what] = value;
  };
  const rows = await bench.run(rounds, { ...given, keep });
  await answer({ rows, kept });
  process.disconnect();
});
