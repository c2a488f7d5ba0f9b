import type { HeaderValue } from '../../message/message.ts';

/** What fields that are called `__proto__` are called when amqplib sees them: as long, and nothing that anybody sends. */
export const NO_PROTOTYPE = '\0\0proto\0\0';

type Table = { readonly [name: string]: HeaderValue };

/**
 * The headers without what the sender made of their prototypes. amqplib decodes a table by assignment, so a field that is
 * called `__proto__` becomes the prototype of its table, which then passes for a Buffer, or has headers that nobody sent.
 * @returns the same object when there is nothing wrong with it, which is nearly always
 */
export function plainHeaders<T extends object | undefined>(headers: T): T {
  return headers === undefined ? headers : (plainTable(headers as Table) as T);
}

function plainTable(table: Table): Table {
  let copy: { [name: string]: HeaderValue } | undefined;
  if (Object.getPrototypeOf(table) !== Object.prototype) copy = { ...table };
  for (const name of Object.keys(table)) {
    if (name === NO_PROTOTYPE) {
      copy ??= { ...table };
      delete copy[name];
      continue;
    }
    const value = table[name];
    const clean = plainValue(value);
    if (clean === value) continue;
    copy ??= { ...table };
    copy[name] = clean;
  }
  return copy ?? table;
}

function plainValue(value: HeaderValue): HeaderValue {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (!Array.isArray(value)) return plainTable(value as Table);
  const items: readonly HeaderValue[] = value.map(plainValue);
  return items.some((item, i) => item !== value[i]) ? items : value;
}
