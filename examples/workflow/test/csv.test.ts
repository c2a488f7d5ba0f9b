import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'csv-parse/sync';
import { CsvTooLargeError, checkCsv, toCsv } from '../src/csv.ts';

test('nested keys are flattened, formulas are quoted', () => {
  assert.equal(toCsv({ a: { b: [1, { c: '=1+1' }] } }), "a.b.0,a.b.1.c\r\n1,'=1+1\r\n");
  assert.equal(toCsv([{ a: 1 }, { b: 2 }]), 'a,b\r\n1,\r\n,2\r\n');
  assert.equal(toCsv({ 'a.b': 1, a: { b: 2 } }), 'a\\.b,a.b\r\n1,2\r\n');
  assert.equal(toCsv({}), '');
});

test('each value has a column of its own, whatever its key: an empty one, too', () => {
  const data = { '': 1, a: { '': 2, b: 3 }, 'a.': 4, '.a': 5, '.': 6, '\\': { '': 7 }, '\\.': 8, list: [{ '': 9 }] };
  const [header = [], row] = parse(toCsv(data)) as string[][];
  assert.deepEqual(header, ['', 'a.', 'a.b', 'a\\.', '\\.a', '\\.', '\\\\.', '\\\\\\.', 'list.0.']);
  assert.deepEqual(row, ['1', '2', '3', '4', '5', '6', '7', '8', '9']);
  assert.equal(toCsv({ '': { '': 1, a: { '': { '': 2 } } } }), '.,.a..\r\n1,2\r\n');
  assert.equal(toCsv([{ '': {} }, { '': null }, {}]), '\r\n{}\r\n\r\n\r\n');
});

test('a value with a line feed or a carriage return alone is one cell: what follows it begins no row, and is no formula', () => {
  for (const line of ['\n', '\r', '\r\n']) {
    const data = { [`k${line}=1+1`]: `v${line}=2+2`, list: [`${line}=3+3`] };
    // As a spreadsheet reads it: any of the three ends a row.
    const rows = parse(toCsv(data), { record_delimiter: ['\r\n', '\n', '\r'] }) as string[][];
    const [key, value] = Object.entries(data)[0] ?? [];
    assert.deepEqual([rows.length, rows[0], rows[1]?.[0]], [2, [key, 'list.0'], value]);
  }
});

const sparse = (count: number) => Array.from({ length: count }, (_, n) => ({ [`k${n}`]: 0 }));

test('a table has a million cells at the most, counted before one is made: those that its rows leave empty as well', () => {
  assert.equal(toCsv(sparse(1000)).split('\r\n').length, 1002);
  for (const data of [sparse(1001), sparse(50_000), [...sparse(21), ...Array.from({ length: 49_979 }, () => ({}))]]) {
    assert.throws(() => checkCsv(data), CsvTooLargeError);
    assert.throws(() => toCsv(data), CsvTooLargeError);
  }
});

test('paths have 16 Mi characters at the most, counted before they are written', () => {
  const below = (prefix: string, count: number) => ({ [prefix]: Object.assign({}, ...sparse(count)) });
  assert.equal(toCsv(below('p'.repeat(500_000), 30)).split(',').length, 30 + 29);
  for (const data of [
    below('p'.repeat(500_000), 40),
    below('p'.repeat(500_000), 50_000),
    Array.from({ length: 600 }, () => below('p'.repeat(1000), 100)),
    JSON.parse(`${'{"a":'.repeat(150_000)}1${'}'.repeat(150_000)}`),
  ]) {
    assert.throws(() => checkCsv(data), CsvTooLargeError);
    assert.throws(() => toCsv(data), CsvTooLargeError);
  }
});
