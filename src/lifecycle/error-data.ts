import type * as errors from '../errors.ts';
import { SvcCommError } from '../errors.ts';
import { isError } from '../util/thrown.ts';
import { type Replacement, replaceErrors } from './replace-errors.ts';

type Made<Class> = Class extends abstract new (...given: never) => infer Instance ? Instance : never;
type Ours = { [Name in keyof typeof errors]: Extract<Made<(typeof errors)[Name]>, SvcCommError> }[keyof typeof errors];

type Composite<Of> = Of extends unknown
  ? { [Name in keyof Of]-?: Of[Name] extends string | number | boolean | undefined ? never : Name }[keyof Of]
  : never;

/** What our classes have that is no single text or number. Of an answer's body nothing is told. */
const COMPOSITE: Readonly<Record<Exclude<Composite<Ours>, keyof Error | 'responseBody'>, true>> = {
  consumers: true,
  deadline: true,
  differences: true,
  holders: true,
  issues: true,
  lookedIn: true,
  packages: true,
  pending: true,
  problems: true,
  services: true,
  urls: true,
};

/** What every error is told with. */
const TOLD: readonly string[] = ['type', 'name', 'message', 'stack', 'code', 'cause', 'errors'];

/**
 * The data of one of our errors; of others none. Of what is put on ours, or is in a class derived from one of them, texts,
 * numbers and errors alone: the rest may be a request with its credentials.
 */
export function errorData(error: Error, replacement: Replacement): Record<string, unknown> {
  if (!(error instanceof SvcCommError)) return {};
  const data: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(error)) {
    if (TOLD.includes(name)) continue;
    if (typeof value === 'bigint') data[name] = String(value);
    else if (isError(value)) data[name] = replacement.by(value);
    else if (Object.hasOwn(COMPOSITE, name)) data[name] = replaceErrors({ value }, replacement).value;
    else if (isSimple(value)) data[name] = value;
  }
  return data;
}

const isSimple = (value: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof value) || value === null;
