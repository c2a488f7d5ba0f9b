import { isError } from '../util/thrown.ts';

/** In what has more objects errors are not looked for before it is copied. */
const MOST_LOOKED_AT = 1_000;
/** What a field leads to may be all that the process has: a socket knows its server, and that its routes. */
const MOST_COPIED = 10_000;

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
    const value = given[name];
    if (typeof value !== 'object' || value === null) continue;
    const other = replacedIn(value, replacement);
    if (other === value) continue;
    replaced ??= { ...given };
    replaced[name] = other;
  }
  return replaced ?? given;
}

function replacedIn(value: object, replacement: Replacement): unknown {
  try {
    return hasErrors(value, replacement, { left: MOST_LOOKED_AT }) ? copyOf(value, replacement, new Map()) : value;
  } catch {
    // Its members are code of whoever logs it.
    return 'a value that cannot be read';
  }
}

/** @returns true as well for what has too many objects, or contains itself */
function hasErrors(value: object, replacement: Replacement, look: { left: number }): boolean {
  if (isError(value) || look.left === 0) return true;
  look.left -= 1;
  const opened = replacement.open(value);
  if (typeof opened !== 'object' || opened === null) return false;
  for (const member of Array.isArray(opened) ? opened : Object.values(opened)) {
    if (typeof member === 'object' && member !== null && hasErrors(member, replacement, look)) return true;
  }
  return false;
}

/** Of what contains itself the copy does, too: how that is written is the logger's. */
function copyOf(value: unknown, replacement: Replacement, copies: Map<object, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (isError(value)) return replacement.by(value);
  if (copies.has(value)) return copies.get(value);
  if (copies.size >= MOST_COPIED) return '[Object]';
  const opened = replacement.open(value);
  if (opened === undefined) return value;
  if (typeof opened !== 'object' || opened === null) return opened;
  const copy: Record<string, unknown> = Array.isArray(opened) ? ([] as never) : {};
  copies.set(value, copy);
  for (const [name, member] of Object.entries(opened)) copy[name] = copyOf(member, replacement, copies);
  return copy;
}
