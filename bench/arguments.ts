import { parseArgs } from 'node:util';

/** What `npm run bench` runs when it is told no names: the targets, ten minutes at most. */
export const BENCHES = [
  'publish',
  'consume',
  'router',
  'relay',
  'relay-peers',
  'latency',
  'enqueue',
  'call',
  'rest',
  'embedded',
  'http',
  'task',
  'start',
  'memory',
] as const;
/** Run only when they are named: they take their own time, or need no other side. */
export const NAMED_ONLY = ['cost', 'growth', 'soak'] as const;

export type Bench = (typeof BENCHES)[number] | (typeof NAMED_ONLY)[number];

export interface BenchArguments {
  readonly names: readonly Bench[];
  /** Whether nothing was named. */
  readonly isAll: boolean;
  /** Counted rounds; undefined: as many as fit into ten minutes on this machine. */
  readonly rounds: number | undefined;
  /** Of the soak. */
  readonly minutes: number;
  /** Longest backlog of the growth. */
  readonly largest: number;
  /** Where the record goes: undefined: nowhere; '': docs/records, under a name with the date. */
  readonly record: string | undefined;
  /** Where CPU profiles of the sides go; undefined: none are made. */
  readonly profile: string | undefined;
}

const known: readonly string[] = [...BENCHES, ...NAMED_ONLY];
const isBench = (name: string): name is Bench => known.includes(name);

/** @throws Error with what is wrong, for a person to read */
export function readArguments(args: readonly string[]): BenchArguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      record: { type: 'boolean', default: false },
      'record-to': { type: 'string' },
      profile: { type: 'string' },
      rounds: { type: 'string', default: process.env.SVC_COMM_BENCH_ROUNDS },
      minutes: { type: 'string', default: '30' },
      largest: { type: 'string', default: '100000' },
    },
  });
  const unknown = positionals.filter((name) => !isBench(name));
  if (unknown.length > 0) throw new Error(`no such bench: ${unknown.join(', ')}; there are ${known.join(', ')}`);
  const isAll = positionals.length === 0;
  return {
    names: isAll ? BENCHES : positionals.filter(isBench),
    isAll,
    rounds: values.rounds === undefined ? undefined : positive('--rounds', values.rounds, true),
    minutes: positive('--minutes', values.minutes, false),
    largest: atLeastTwoSizes(positive('--largest', values.largest, true)),
    record: values['record-to'] ?? (values.record ? '' : undefined),
    profile: values.profile,
  };
}

function positive(option: string, text: string, isWhole: boolean): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value) && (!isWhole || Number.isInteger(value))) return value;
  throw new Error(`${option}: expected a ${isWhole ? 'whole ' : ''}number above 0, got ${JSON.stringify(text)}`);
}

/** A curve of one size has no slope. */
function atLeastTwoSizes(largest: number): number {
  if (largest >= 10_000) return largest;
  throw new Error(`--largest: expected 10000 or more, got ${largest}`);
}
