import { z } from 'zod';
import { MAX_NAME_BYTES } from '../message/message.ts';
import { parseDuration } from '../util/duration.ts';

/**
 * How an environment variable's text becomes the value. `text-or-number`: a number when it is written as one;
 * `text-or-json`: JSON when it starts with `[` or `{`; `none`: no variable can give it.
 */
export type TextForm = 'text' | 'number' | 'boolean' | 'json' | 'text-or-number' | 'text-or-json' | 'none';

/** What is said of a setting, in errors and in `docs/settings.md`. */
export interface Description {
  /** Completes “expected …”. */
  readonly expected: string;
  /** The same for one entry of a list. */
  readonly expectedItem?: string;
  /** The default in words, where it is no constant. */
  readonly defaultText?: string;
  readonly meaning: string;
  readonly textForm: TextForm;
  readonly isSecret?: boolean;
}

const descriptions = new WeakMap<object, Description>();

export const descriptionOf = (schema: object): Description | undefined => descriptions.get(schema);

/** Attaches the description to a schema; apply it last, a further zod method would make another object. */
export function described<S extends z.ZodType>(schema: S, description: Description): S {
  descriptions.set(schema, description);
  return schema;
}

/** A schema of one function: undefined means that the value is refused. */
export function parsed<T>(parse: (value: unknown) => T | undefined) {
  return z.unknown().transform((value, context): T => {
    const result = parse(value);
    if (result !== undefined) return result;
    context.addIssue({ code: 'custom', input: value });
    return z.NEVER;
  });
}

/** A duration with its unit. A bare number says no unit, except 0, or where `numberUnit` is given. */
export function duration({ min = 0, max = Number.MAX_SAFE_INTEGER, numberUnit }: DurationRange = {}) {
  return parsed((value) => {
    if (typeof value === 'number' && value !== 0 && !numberUnit) return undefined;
    const ms = parseDuration(value, numberUnit);
    return ms !== undefined && ms >= min && ms <= max && Number.isInteger(ms) ? ms : undefined;
  });
}

interface DurationRange {
  readonly min?: number;
  readonly max?: number;
  readonly numberUnit?: 's';
}

export const wholeNumber = (min: number, max = Number.MAX_SAFE_INTEGER) => z.int().min(min).max(max);

/** A name that AMQP can carry as a short string: at most 255 bytes, no control characters. */
export const isName = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && isShortString(value);

/** Like a name; a routing pattern may be empty. */
export const isShortString = (value: unknown): value is string =>
  typeof value === 'string' && Buffer.byteLength(value) <= MAX_NAME_BYTES && ![...value].some(isControl);

const isControl = (sign: string): boolean => sign < ' ' || sign === '\u007f';
