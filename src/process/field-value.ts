import type { InputProblem } from '../errors.ts';
import { COERCIONS, shown } from '../task/coerce.ts';
import { parseUrl } from '../util/parse-url.ts';
import type { FieldDescription, FieldType } from './description.ts';
import { timeOfText } from './time-text.ts';

interface Rule {
  readonly expected: string;
  /** undefined: it cannot be one. */
  readonly read: (value: unknown) => unknown;
}

/** What a value becomes as each type. A text is taken for what it says, as forms and query strings send it. */
const RULES: Readonly<Record<FieldType, Rule>> = Object.freeze({
  char: { expected: 'a text', read: COERCIONS.STRING },
  text: { expected: 'a text', read: COERCIONS.STRING },
  integer: { expected: 'a whole number', read: integer },
  float: { expected: 'a number', read: COERCIONS.FLOAT },
  boolean: { expected: 'true or false', read: COERCIONS.BOOLEAN },
  date: { expected: 'a date such as 2026-11-23', read: date },
  datetime: { expected: 'an ISO 8601 time such as 2026-11-23T10:00:00Z', read: datetime },
  email: { expected: 'an e-mail address', read: email },
  url: { expected: 'an http or https URL', read: url },
  choice: { expected: 'one of the choices', read: (value) => value },
  list: { expected: 'a list', read: COERCIONS.LIST },
  json: { expected: 'JSON', read: (value) => value },
});

/** Whether a value is none: left out, null, or an empty text where a text would say something. */
export const isNothing = (value: unknown, type: FieldType = 'char'): boolean =>
  value === undefined || value === null || (value === '' && type !== 'json');

export interface FieldValues {
  /** The body with types and defaults; members that are no fields are as they were. */
  readonly body: unknown;
  readonly problems: readonly InputProblem[];
}

/** A value as a type. @returns undefined when it cannot be one */
export const readAs = (type: FieldType, value: unknown): unknown => RULES[type].read(value);
export const expectedOf = (type: FieldType): string => RULES[type].expected;

export function readFields(fields: readonly FieldDescription[], given: unknown): FieldValues {
  if (fields.length === 0) return { body: given, problems: [] };
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return { body: given, problems: [{ kind: 'body', name: 'body', why: `expected an object, got ${shown(given)}` }] };
  }
  const members = given as Readonly<Record<string, unknown>>;
  const body: Record<string, unknown> = { ...members };
  const problems: InputProblem[] = [];
  for (const field of fields) {
    const { name, type } = field;
    const value = Object.hasOwn(members, name) ? members[name] : undefined;
    if (isNothing(value, type)) {
      if (field.default !== undefined) body[name] = field.default;
      else if (field.isRequired) problems.push({ kind: 'field', name, why: 'it is required' });
      continue;
    }
    const read = readValue(field, value);
    if (read !== undefined) body[name] = read;
    else problems.push({ kind: 'field', name, why: `expected ${expected(field)}, got ${shown(value)}` });
  }
  return { body, problems };
}

const expected = ({ type, choices }: FieldDescription): string =>
  choices ? `one of ${choices.map(shown).join(', ')}` : expectedOf(type);

/** A value as a field's type, and one of its choices if it has any. @returns undefined when it cannot be */
export function readValue({ type, choices }: Pick<FieldDescription, 'type' | 'choices'>, value: unknown): unknown {
  const read = readAs(type, value);
  if (!choices) return read;
  // Forms send texts: `"3"` is the choice 3 when there is no `"3"`.
  return choices.find((one) => one === read) ?? choices.find((one) => String(one) === read);
}

function integer(value: unknown): number | undefined {
  const number = typeof value === 'string' || typeof value === 'number' ? COERCIONS.FLOAT(value) : undefined;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}

/** `2026-11-23` */
const DAY_LENGTH = 10;

function date(value: unknown): string | undefined {
  if (typeof value !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(value)) return undefined;
  const time = new Date(`${value}T00:00:00.000Z`);
  // 2026-02-30 is a day of March to Date.
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(value) ? value : undefined;
}

/** Without a zone it is a time of the server's, as the time of an asynchronous task is; a day alone is none. */
function datetime(value: unknown): string | undefined {
  if (typeof value !== 'string' || date(value.slice(0, DAY_LENGTH)) === undefined) return undefined;
  return value.length > DAY_LENGTH ? timeOfText(value)?.toISOString() : undefined;
}

const MAX_EMAIL = 254;

/** One `@`, a name before it, a host with a dot behind it: whether it exists only a letter tells. */
function email(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > MAX_EMAIL) return undefined;
  const [name = '', host = '', ...rest] = value.split('@');
  const isHost = host.includes('.') && host.split('.').every((label) => /^[\w-]{1,63}$/.test(label));
  return rest.length === 0 && /^[^\s"(),:;<>[\\\]]{1,64}$/.test(name) && isHost ? value : undefined;
}

function url(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const protocol = parseUrl(value)?.protocol;
  return protocol === 'http:' || protocol === 'https:' ? value : undefined;
}
