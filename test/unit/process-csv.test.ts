import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { inServiceScope } from '../../src/process/core/services.ts';
import { writeCsv } from '../../src/process/core/write-csv.ts';
import { requestFor } from '../../src/process/run-step.ts';

describe('rows that are written to one file at the same time', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'svc-comm-csv-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const write = (file: string, rows: readonly object[]) => {
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
    return inServiceScope(services, async () => writeCsv.run(request as never, { file, rows } as never));
  };
  const linesOf = (file: string) => readFileSync(join(folder, file), 'utf8').trimEnd().split('\n');

  it('have the names of the columns once, before them all', async () => {
    for (const file of ['a.csv', 'b.csv', 'c.csv', 'd.csv']) {
      await Promise.all(Array.from({ length: 8 }, (_, n) => write(file, [{ n }])));
      const [first, ...rows] = linesOf(file);
      expect(first).toBe('n');
      expect(rows.sort()).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
    }
    expect(readdirSync(folder).sort()).toEqual(['a.csv', 'b.csv', 'c.csv', 'd.csv']);
  });

  it('stay together, however many they are', async () => {
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

  it('have the names before them in a file that was there and empty', async () => {
    writeFileSync(join(folder, 'a.csv'), '');
    await write('a.csv', [{ n: 1 }]);
    await write('a.csv', [{ n: 2 }]);
    expect(linesOf('a.csv')).toEqual(['n', '1', '2']);
  });
});

async function neverAsked(): Promise<never> {
  throw new Error('csv.write needs a folder only');
}
