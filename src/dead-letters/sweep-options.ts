import { InvalidArgumentError } from '../errors.ts';
import { assertKnownNames, assertSignal } from '../util/assert-object.ts';
import { assertFilter, type DeadLetterFilter } from './filter.ts';

export interface SweepOptions {
  /** `{}` takes every one. */
  readonly filter: DeadLetterFilter;
  /** Most letters to take, ≥ 0. @default all */
  readonly limit?: number | undefined;
  /** Count only. @default false */
  readonly dryRun?: boolean | undefined;
  /** Most letters each second, above 0. @default as fast as it goes */
  readonly perSecond?: number | undefined;
  /** Stops it: what is under way is finished. */
  readonly signal?: AbortSignal | undefined;
  /** What it throws ends it. */
  readonly onProgress?: ((taken: number, waiting: number) => void) | undefined;
}

/** `force` is one of `redrive`. */
const NAMES: Readonly<Record<keyof SweepOptions | 'force', true>> = {
  filter: true,
  limit: true,
  dryRun: true,
  perSecond: true,
  signal: true,
  onProgress: true,
  force: true,
};

/**
 * A `dryRun` that is misspelt, or a limit that is no number, would take what was only to be counted.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function assertSweepOptions(options: unknown): asserts options is SweepOptions {
  assertKnownNames('options', options, Object.keys(NAMES));
  const { filter, limit, perSecond, signal } = options as SweepOptions;
  assertSignal(signal);
  assertFilter(filter);
  if (limit !== undefined) assertLimit(limit, 0);
  if (perSecond === undefined || (Number.isFinite(perSecond) && perSecond > 0)) return;
  throw new InvalidArgumentError('perSecond', 'a number above 0', String(perSecond));
}

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) */
export function assertLimit(limit: unknown, least: number): void {
  if (limit === Number.POSITIVE_INFINITY || (Number.isSafeInteger(limit) && Number(limit) >= least)) return;
  throw new InvalidArgumentError('limit', `a whole number ≥ ${least}`, String(limit));
}
