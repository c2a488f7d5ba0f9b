import { isError } from '../util/thrown.ts';

/** What a field leads to may be all that the process has: a socket knows its server, and that its routes. */
const MOST_OBJECTS = 10_000;

const UNREADABLE = 'a value that cannot be read';

export interface Replacement {
  readonly by: (error: Error) => unknown;
  /** What errors are looked for in, instead of the object; undefined: in nothing, it stays as it is. */
  readonly open: (value: object) => unknown;
}

/** The fields of a line with its errors replaced, those within lists and objects too. Without any: as they were given. */
export function replaceErrors(fields: object, replacement: Replacement): Record<string, unknown> {
  const given = fields as Record<string, unknown>;
  if (typeof fields !== 'object' || fields === null) return given;
  if (isError(fields)) return Object(replacement.by(fields));
  let replaced: Record<string, unknown> | undefined;
  for (const name of Object.keys(given)) {
    const value = memberOf(given, name);
    if (!isObject(value) || !leadsToError(value, replacement)) continue;
    replaced ??= Object.fromEntries(Object.keys(given).map((each) => [each, memberOf(given, each)]));
    replaced[name] = copyOf(value, replacement);
  }
  return replaced ?? given;
}

/** The nearest first, and each object once: values lead to each other. */
function leadsToError(value: object, replacement: Replacement): boolean {
  const found = new Set([value]);
  for (const one of found) {
    const inside = insideOf(one, replacement);
    if (inside instanceof Found) return true;
    if (!isObject(inside)) continue;
    for (const member of Array.isArray(inside) ? inside : namesOf(inside).map((name) => memberOf(inside, name))) {
      if (isObject(member) && found.size < MOST_OBJECTS) found.add(member);
    }
  }
  return false;
}

/** Of what contains itself the copy does, too: how that is written is the logger's. */
function copyOf(value: object, replacement: Replacement): unknown {
  const copies = new Map<object, unknown>();
  const begun: { readonly inside: object; readonly copy: Record<string, unknown> }[] = [];
  const copied = (one: unknown): unknown => {
    if (!isObject(one)) return one;
    if (copies.has(one)) return copies.get(one);
    if (copies.size >= MOST_OBJECTS) return '[Object]';
    const inside = insideOf(one, replacement);
    let copy: unknown = inside === undefined ? one : inside;
    if (inside instanceof Found) copy = replacement.by(inside.error);
    else if (isObject(inside)) {
      copy = Array.isArray(inside) ? [] : {};
      begun.push({ inside, copy: copy as Record<string, unknown> });
    }
    copies.set(one, copy);
    return copy;
  };
  const whole = copied(value);
  for (const { inside, copy } of begun) {
    for (const name of namesOf(inside)) copy[name] = copied(memberOf(inside, name));
  }
  return whole;
}

class Found {
  readonly error: Error;
  constructor(error: Error) {
    this.error = error;
  }
}

/** What is looked at is code of whoever logs it, and may throw. */
function insideOf(value: object, { open }: Replacement): unknown {
  try {
    const inside = isError(value) ? value : open(value);
    return isError(inside) ? new Found(inside) : inside;
  } catch {
    return undefined;
  }
}

function namesOf(value: object): readonly string[] {
  try {
    return Object.keys(value);
  } catch {
    return [];
  }
}

function memberOf(value: object, name: string): unknown {
  try {
    return (value as Readonly<Record<string, unknown>>)[name];
  } catch {
    return UNREADABLE;
  }
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
