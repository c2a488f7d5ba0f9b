import { stringify } from 'csv-stringify/sync';
import type { Data } from './workflow.ts';

/** Rows times columns: each row has a cell in each column, though it may have few keys. */
const MAX_CELLS = 1_000_000;
/** Characters of the paths, row by row: in `{ "prefix": { "a": 1, "b": 2 } }` the prefix counts three times. */
const MAX_PATHS = 16 * 1024 * 1024;

/** A CSV of these data would be too large to hold: a body of 1 MiB can stand for gigabytes. */
export class CsvTooLargeError extends Error {}

/**
 * A workflow's data as CSV: a header row, nested keys flattened (`a.b`, `list.0`; a dot within a key as `\.`), a list of
 * objects as several rows. What a spreadsheet would run as a formula is quoted by an apostrophe in front, in the header too.
 * @throws CsvTooLargeError
 */
export function toCsv(data: Data): string {
  const rows = rowsOf(data);
  const columns = columnsOf(rows);
  if (columns.length === 0) return '';
  const records = rows.map((row) => {
    const values = new Map(valuesOf([row]));
    return columns.map((column) => values.get(column));
  });
  return stringify([columns, ...records], {
    escape_formulas: true,
    record_delimiter: '\r\n',
    // A line feed alone begins a row, too, for who reads it.
    quote_record_delimiter: true,
    cast: { boolean: (value) => String(value) },
  });
}

/** Makes no cells. @throws CsvTooLargeError where `toCsv` would */
export function checkCsv(data: Data): void {
  columnsOf(rowsOf(data));
}

const rowsOf = (data: Data): readonly unknown[] => (Array.isArray(data) ? data : [data]);

function columnsOf(rows: readonly unknown[]): string[] {
  const columns = new Set<string>();
  for (const [path] of valuesOf(rows)) {
    columns.add(path);
    if (columns.size * rows.length > MAX_CELLS) {
      throw new CsvTooLargeError(`its CSV would have over ${MAX_CELLS} cells: rows times different keys`);
    }
  }
  return [...columns];
}

/** What the rows hold, in the order of their keys, by its path. An empty object or list has no key below it: it is JSON. */
function* valuesOf(rows: readonly unknown[]): Generator<[path: string, value: unknown]> {
  let length = 0;
  for (const row of rows) {
    // The last is the next. A row's own path is undefined: the empty text is a key as others are.
    const waiting: [path: string | undefined, value: unknown][] = [[undefined, row]];
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [path, value] = next;
      const isObject = typeof value === 'object' && value !== null;
      const entries = isObject ? Object.entries(value) : [];
      if (entries.length === 0 && path !== undefined) yield [path, isObject ? JSON.stringify(value) : value];
      for (const [key, item] of entries.reverse()) {
        const name = key.replaceAll(/[\\.]/g, '\\$&');
        const below = path === undefined ? name : `${path}.${name}`;
        length += below.length;
        if (length > MAX_PATHS) {
          throw new CsvTooLargeError(`the nested keys of its CSV would have over ${MAX_PATHS} characters`);
        }
        waiting.push([below, item]);
      }
    }
  }
}
