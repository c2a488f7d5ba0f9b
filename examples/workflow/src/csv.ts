import { stringify } from 'csv-stringify/sync';
import type { Data } from './workflow.ts';

/**
 * A workflow's data as CSV: a header row, nested keys flattened (`a.b`, `list.0`; a dot within a key as `\.`), a list of
 * objects as several rows. What a spreadsheet would run as a formula is quoted by an apostrophe in front, in the header too.
 */
export function toCsv(data: Data): string {
  const rows = (Array.isArray(data) ? data : [data]).map((row) => flatten(row));
  const keys = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  if (keys.length === 0) return '';
  const records = rows.map((row) => keys.map((key) => row.get(key)));
  return stringify([keys, ...records], {
    escape_formulas: true,
    record_delimiter: '\r\n',
    // A line feed alone begins a row, too, for who reads it.
    quote_record_delimiter: true,
    cast: { boolean: (value) => String(value) },
  });
}

/** @param path of the value; undefined for a row itself, since the empty text is a key as others are */
function flatten(value: unknown, path?: string, into = new Map<string, unknown>()): Map<string, unknown> {
  const isNested = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  if (!isNested) {
    // An empty object or list has no key below it that could show that it is there.
    if (path !== undefined) into.set(path, typeof value === 'object' && value !== null ? JSON.stringify(value) : value);
    return into;
  }
  for (const [key, item] of Object.entries(value)) {
    const name = key.replaceAll(/[\\.]/g, '\\$&');
    flatten(item, path === undefined ? name : `${path}.${name}`, into);
  }
  return into;
}
