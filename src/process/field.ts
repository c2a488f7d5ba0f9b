import { shown } from '../task/coerce.ts';
import { FIELD_TYPES, type FieldDescription, type FieldType } from './description.ts';
import { expectedOf, readAs } from './field-value.ts';
import type { Problems } from './problems.ts';

/** A member of the body that creates an instance. */
export interface FieldOptions {
  /** A letter or `_`, then letters, digits and `_`. */
  readonly name: string;
  /** @default '' */
  readonly description?: string;
  /** One of `FIELD_TYPES`, or as Django calls it: `CharField`, `DateTimeField` … @default 'char' */
  readonly type?: string;
  /** What it is when it is left out; null: nothing. */
  readonly default?: unknown;
  /** @default true, false when there is a default */
  readonly required?: boolean;
  /** What a choice is one of. */
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

/** What stands in for a value must be one: nobody looks at it again. */
function checkDefault(type: FieldType, value: unknown, choices: readonly unknown[], problems: Problems): void {
  const isOne = type === 'choice' ? choices.length === 0 || choices.includes(value) : readAs(type, value) !== undefined;
  if (!isOne) problems.at('default').add(type === 'choice' ? 'one of the choices' : expectedOf(type), value);
}

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
  const hasChoices = Array.isArray(choices) && choices.length > 0;
  if (type === 'choice' && !hasChoices) problems.at('choices').add('a list of what it is one of', choices);
  if (options.required !== undefined && typeof options.required !== 'boolean') {
    problems.at('required').add('true or false', options.required);
  }
  const value = options.default ?? undefined;
  if (type !== undefined && value !== undefined) checkDefault(type, value, hasChoices ? choices : [], problems);
  const isRequired = typeof options.required === 'boolean' ? options.required : value === undefined;
  return Object.freeze({
    name,
    description: typeof description === 'string' ? description : shown(description),
    type: type ?? 'json',
    isRequired,
    ...(value === undefined ? {} : { default: value }),
    ...(hasChoices ? { choices: choices as readonly unknown[] } : {}),
  });
}
