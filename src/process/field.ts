import { COERCIONS, shown } from '../task/coerce.ts';
import { FIELD_TYPES, type FieldDescription, type FieldType } from './description.ts';
import { expectedOf, readAs, readValue } from './field-value.ts';
import { jsonProblem, type Problems } from './problems.ts';

/** A member of the body that creates an instance. */
export interface FieldOptions {
  /** A letter or `_`, then letters, digits and `_`. */
  readonly name: string;
  /** @default '' */
  readonly description?: string;
  /** One of `FIELD_TYPES`, or as Django calls it: `CharField`, `DateTimeField` … @default 'char' */
  readonly type?: string;
  /** What it is when it is left out, read as its type; null: nothing. */
  readonly default?: unknown;
  /** @default true, false when there is a default */
  readonly required?: boolean;
  /** What it is one of, read as its type: texts, numbers, true or false. A `choice` must have them. */
  readonly choices?: readonly unknown[];
}

const KEYS = ['name', 'description', 'type', 'default', 'required', 'choices'];
const NAME = /^[A-Za-z_]\w{0,99}$/;
/** Would be no members of their own of an object that is made of fields. */
const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** `TYPES.CharField`, `CharField` and `char` are one. */
export function fieldType(name: string): FieldType | undefined {
  const plain = name
    .toLowerCase()
    .replace(/^types\./, '')
    .replace(/(?<=.)field$/, '');
  return FIELD_TYPES.find((type) => type === plain);
}

export function resolveFields(given: unknown, problems: Problems): readonly FieldDescription[] {
  if (given === undefined || given === null) return [];
  if (!Array.isArray(given)) {
    problems.add('a list of fields', given);
    return [];
  }
  const fields = given.flatMap((field, index) => resolveField(field, problems.at(index)) ?? []);
  const names = new Set<string>();
  for (const [index, { name }] of fields.entries()) {
    if (names.has(name)) problems.at(index).add('a name of its own', name);
    names.add(name);
  }
  return fields;
}

/** What stands in for a value must be one: nobody looks at it again. @returns it as its type */
function resolveDefault(
  field: Pick<FieldDescription, 'type' | 'choices'>,
  value: unknown,
  problems: Problems,
): unknown {
  const read = jsonProblem(value) === undefined ? readValue(field, value) : undefined;
  if (read === undefined)
    problems.at('default').add(field.choices ? 'one of the choices' : expectedOf(field.type), value);
  return read;
}

/** @returns them as the field's type; undefined when it has none */
function resolveChoices(type: FieldType, given: unknown, problems: Problems): readonly unknown[] | undefined {
  if ((given === undefined || given === null) && type !== 'choice') return undefined;
  if (!Array.isArray(given) || given.length === 0) {
    problems.add('a list of what it is one of', given);
    return undefined;
  }
  return given.map((one: unknown, index) => {
    // What comes is another object whatever it holds.
    const isScalar = COERCIONS.STRING(one) !== undefined;
    const read = isScalar ? readAs(type, one) : undefined;
    if (read === undefined) problems.at(index).add(isScalar ? expectedOf(type) : SCALARS, one);
    return read;
  });
}

const SCALARS = 'a text, a number, true or false';

function resolveField(given: unknown, problems: Problems): FieldDescription | undefined {
  const options = problems.object(given, KEYS);
  if (!options) return undefined;
  const { name, description = '', type: typeName = 'char', choices } = options;
  if (typeof name !== 'string' || !NAME.test(name) || FORBIDDEN.has(name)) {
    problems.at('name').add('a letter or _, then letters, digits and _', name);
    return undefined;
  }
  if (typeof description !== 'string') problems.at('description').add('a text', description);
  const type = typeof typeName === 'string' ? fieldType(typeName) : undefined;
  if (type === undefined) problems.at('type').oneOf(FIELD_TYPES, typeName);
  const oneOf = type === undefined ? undefined : resolveChoices(type, choices, problems.at('choices'));
  const choice = oneOf === undefined ? {} : { choices: oneOf };
  if (options.required !== undefined && typeof options.required !== 'boolean') {
    problems.at('required').add('true or false', options.required);
  }
  const isGiven = type !== undefined && options.default !== undefined && options.default !== null;
  const value = isGiven ? resolveDefault({ type, ...choice }, options.default, problems) : undefined;
  const isRequired = typeof options.required === 'boolean' ? options.required : value === undefined;
  return Object.freeze({
    name,
    description: typeof description === 'string' ? description : shown(description),
    type: type ?? 'json',
    isRequired,
    ...(value === undefined ? {} : { default: value }),
    ...choice,
  });
}
