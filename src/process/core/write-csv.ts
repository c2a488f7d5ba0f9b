import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, mkdir, open, realpath, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { codeOf } from '../../util/thrown.ts';
import { type CoreOptions, coreTask, membersProblem, textOf } from './core-task.ts';
import { coreServices } from './services.ts';

/**
 * `[csv.write, { args: { file: hits.csv, rows: '= [body]', columns: [foo, bar] } }]`
 * Adds to the file, below the folder of the setting `instances.folder`; a new one begins with the columns' names. A task
 * that is run again after its worker died writes its rows again.
 */
export const writeCsv = coreTask(
  { description: 'Adds rows to a CSV file in the folder of the setting instances.folder.', needsService: true },
  ([options]) => membersProblem(options, ['file', 'rows'], ['columns']),
  async (options) => {
    const rows = rowsOf(options);
    const columns = columnsOf(options, rows);
    const { stringify } = await import('csv-stringify/sync');
    // A cell that begins like a formula would be one to whoever opens the file in a spreadsheet.
    const text = (list: readonly unknown[]) =>
      stringify([...list], { columns, escape_formulas: true, cast: { boolean: String } });
    const path = await placeOf((await coreServices()).folder, textOf(options, 'file'));
    // Its first line could not be written later.
    if (columns.length === 0) return { file: textOf(options, 'file'), rows: 0 };
    await beginFile(path, text([columns]));
    const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
    const file = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, MODE);
    try {
      const { size } = await file.stat();
      await appendAtOnce(file, size === 0 ? text([columns, ...rows]) : text(rows));
    } finally {
      await file.close();
    }
    return { file: textOf(options, 'file'), rows: rows.length };
  },
);

const MODE = 0o640;

/**
 * Makes a file that is not there with its first line in it: of several that do so at once, each finds the line of the
 * first. Where there are no hard links it is left to be made with the rows.
 */
async function beginFile(path: string, head: string): Promise<void> {
  const isThere = await lstat(path).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  const made = join(dirname(path), `.${randomUUID()}.new`);
  try {
    await writeFile(made, head, { flag: 'wx', mode: MODE });
    await link(made, path).catch(() => undefined);
  } finally {
    await rm(made, { force: true });
  }
}

/** In one write, which others' do not come into: `appendFile` makes several of a long text. */
async function appendAtOnce(file: FileHandle, text: string): Promise<void> {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    const { bytesWritten } = await file.write(rest);
    // The disk is nearly full, or it is beyond what one write takes.
    rest = rest.subarray(bytesWritten);
  }
}

type CsvRow = Readonly<Record<string, unknown>> | readonly unknown[];

/** An expression that finds nothing gives null, and one that finds a single row that row. */
function rowsOf({ rows }: CoreOptions): readonly CsvRow[] {
  const list = Array.isArray(rows) ? rows : rows === null ? [] : [rows];
  if (list.every((row) => typeof row === 'object' && row !== null)) return list;
  throw new TypeError('rows: expected objects, or lists');
}

function columnsOf({ columns }: CoreOptions, rows: readonly CsvRow[]): string[] {
  const given = columns ?? Object.keys(rows[0] ?? {});
  const isNames = Array.isArray(given) && given.every((name) => typeof name === 'string');
  if (!isNames || (given.length === 0 && rows.length > 0)) throw new TypeError('columns: expected names');
  return given;
}

/** @throws TypeError for a file that is not below the folder, by its name or by a link on the way */
async function placeOf(folder: string, file: string): Promise<string> {
  const parts = file.split(/[/\\]/);
  if (isAbsolute(file) || file.includes('\0') || parts.some((part) => part === '' || /^\.+$/.test(part))) {
    throw new TypeError(`file: expected a path below the folder, got ${JSON.stringify(file.slice(0, 100))}`);
  }
  await mkdir(folder, { recursive: true });
  const root = await realpath(folder);
  let place = root;
  for (const part of parts.slice(0, -1)) {
    await mkdir(join(place, part)).catch(ignoreExisting);
    place = await realpath(join(place, part));
    if (relative(root, place).startsWith('..') || !`${place}${sep}`.startsWith(`${root}${sep}`)) {
      throw new TypeError(`file: ${JSON.stringify(dirname(file))} leads out of the folder`);
    }
  }
  return join(place, parts.at(-1) ?? '');
}

function ignoreExisting(error: unknown): void {
  if (codeOf(error) !== 'EEXIST') throw error;
}
