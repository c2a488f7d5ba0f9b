import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { inServiceScope } from '../../src/process/core/services.ts';
import { writeCsv } from '../../src/process/core/write-csv.ts';
import { requestFor } from '../../src/process/run-step.ts';

describe('csv.write', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'svc-comm-csv-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const write = (file: string, rows: unknown, columns?: readonly string[]) => {
    const services = async () => ({ folder, publishEvent: neverAsked, sendCommand: neverAsked });
    const snapshot = {
      method: 'POST',
      url: '/',
      params: {},
      query: {},
      headers: {},
      body: {},
      user: '',
      instanceId: '',
    };
    const signal = new AbortController().signal;
    const request = requestFor(writeCsv, snapshot, { signal, logger: silentLogger, results: {} });
    return inServiceScope(services, async () =>
      writeCsv.run(request as never, { file, rows, ...(columns && { columns }) } as never),
    );
  };
  const linesOf = (file: string) => readFileSync(join(folder, file), 'utf8').trimEnd().split('\n');

  it('writes the names of the columns once, before all rows that are written to one file at the same time', async () => {
    for (const file of ['a.csv', 'b.csv', 'c.csv', 'd.csv']) {
      await Promise.all(Array.from({ length: 8 }, (_, n) => write(file, [{ n }])));
      const [first, ...rows] = linesOf(file);
      expect(first).toBe('n');
      expect(rows.sort()).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
    }
    expect(readdirSync(folder).sort()).toEqual(['a.csv', 'b.csv', 'c.csv', 'd.csv']);
  });

  it('keeps rows of one call together, however many they are and whoever else writes', async () => {
    const writers = ['p', 'q', 'r', 's'];
    const long = 'x'.repeat(200);
    await Promise.all(
      writers.map((by) =>
        write(
          'a.csv',
          Array.from({ length: 20_000 }, (_, n) => ({ by, n, long })),
        ),
      ),
    );
    const [, ...rows] = linesOf('a.csv');
    expect(rows).toHaveLength(80_000);
    const changes = rows.filter((row, index) => index > 0 && row[0] !== rows[index - 1]?.[0]);
    expect(changes).toHaveLength(writers.length - 1);
  });

  it('writes the names of the columns into a file that was there and empty', async () => {
    writeFileSync(join(folder, 'a.csv'), '');
    await write('a.csv', [{ n: 1 }]);
    await write('a.csv', [{ n: 2 }]);
    expect(linesOf('a.csv')).toEqual(['n', '1', '2']);
  });

  it('writes false and true as such, and nothing for null and for what is not there', async () => {
    await write(
      'a.csv',
      [
        { name: 'a', is: false, was: true },
        { name: 'b', is: null },
      ],
      ['name', 'is', 'was'],
    );
    expect(linesOf('a.csv')).toEqual(['name,is,was', 'a,false,true', 'b,,']);
  });

  it('keeps a value with a line feed or a carriage return alone in one cell: what follows it is no row, and no formula', async () => {
    for (const line of ['\n', '\r', '\r\n']) {
      const file = `${line.length}${line.charCodeAt(0)}.csv`;
      await write(file, [{ a: `v${line}=1+1`, b: 2 }], ['a', 'b']);
      // As a spreadsheet reads it: any of the three ends a row.
      const rows = parse(readFileSync(join(folder, file)), { record_delimiter: ['\r\n', '\n', '\r'] });
      expect(rows).toEqual([
        ['a', 'b'],
        [`v${line}=1+1`, '2'],
      ]);
    }
  });

  it('takes rows of which an expression has found none: no file begins without the names of its columns', async () => {
    for (const none of [null, []]) {
      expect(await write('a.csv', none)).toEqual({ file: 'a.csv', rows: 0 });
      expect(readdirSync(folder)).toEqual([]);
    }
    expect(await write('named.csv', null, ['n'])).toEqual({ file: 'named.csv', rows: 0 });
    await write('a.csv', [{ n: 1 }]);
    await write('a.csv', null);
    await write('named.csv', [{ n: 1 }], ['n']);
    expect(linesOf('a.csv')).toEqual(['n', '1']);
    expect(linesOf('named.csv')).toEqual(['n', '1']);
    await expect(write('a.csv', [{}])).rejects.toThrow('columns: expected names');
  });
});

async function neverAsked(): Promise<never> {
  throw new Error('csv.write needs a folder only');
}
