/** Names that a service has are few; names that are data (ids as keys) may be many, so the memory is bounded. */
const MOST_NAMES = 5000;
/** Nothing but words: keys with other signs are data (a UUID, a date, a path) and stay as they are. */
const IDENTIFIER = /^[A-Za-z][A-Za-z0-9_]*$/;

/** `userId` → `user_id`, `HTTPStatus` → `http_status`; `a1` and what is snake_case already stay. */
export const snakeCaseKeys = renamer((name) =>
  name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replaceAll(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .toLowerCase(),
);

/** `user_id` → `userId`; `a_1` stays, so that it is not mixed up with `a1`. */
export const camelCaseKeys = renamer((name) =>
  name.replaceAll(/(?<=[A-Za-z0-9])_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
);

/** Renames the keys of plain objects at any depth. Two keys that would become one both keep their names. */
function renamer(rename: (name: string) => string): (value: unknown) => unknown {
  const known = new Map<string, string>();

  const newName = (name: string): string => {
    let renamed = known.get(name);
    if (renamed === undefined) {
      renamed = IDENTIFIER.test(name) ? rename(name) : name;
      if (known.size >= MOST_NAMES) known.clear();
      known.set(name, renamed);
    }
    return renamed;
  };

  const renameKeys = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(renameKeys);
    if (!isPlainObject(value)) return value;
    const entries = Object.entries(value);
    const names = entries.map(([name]) => newName(name));
    const isAmbiguous = new Set(names).size < names.length;
    // fromEntries defines properties: a key "__proto__" stays a key.
    return Object.fromEntries(
      entries.map(([name, item], i) => {
        const clashes = isAmbiguous && names.indexOf(names[i] ?? name) !== names.lastIndexOf(names[i] ?? name);
        return [clashes ? name : (names[i] ?? name), renameKeys(item)];
      }),
    );
  };
  return renameKeys;
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
