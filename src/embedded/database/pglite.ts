import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EmbeddedDatabaseMissingError } from '../../errors.ts';
import { packageRoot } from '../../util/own-files.ts';
import { INERT_TIMEOUTS } from './session-timeouts.ts';

/** The part of PGlite that we use: PostgreSQL's one backend as a function of protocol messages. */
export interface Pglite {
  execProtocolRawStream(
    message: Uint8Array,
    options: { readonly onRawData: (data: Uint8Array) => void },
  ): Promise<unknown>;
  exec(sql: string): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * Above it PostgreSQL says that a statement's calls go too deep (a trigger that fires itself, say). Its own bound of 2 MB
 * is more than WebAssembly has here: the backend would end without a word.
 */
const STACK = ['-c', 'max_stack_depth=300kB'];

/**
 * What converts texts to other encodings than UTF-8 is in libraries that WebAssembly has not: the backend would end
 * without a word. Where PostgreSQL finds no conversion, it says so. These are its own, below the first oid of users.
 */
const NO_CONVERSIONS =
  'SET allow_system_table_mods = on; DELETE FROM pg_conversion WHERE oid < 16384; RESET allow_system_table_mods';

/**
 * Opens the database of a folder, made when missing, or one in memory.
 * @throws EmbeddedDatabaseMissingError (SVC_COMM_EMBEDDED_DATABASE_MISSING) when the package is not installed
 */
export async function openPglite(folder: string | undefined): Promise<Pglite> {
  const pglite = await create(folder);
  await pglite.exec(NO_CONVERSIONS);
  return pglite;
}

async function create(folder: string | undefined): Promise<Pglite> {
  const { PGlite } = await load();
  const startParams = [...PGlite.defaultStartParams, ...STACK, ...INERT_TIMEOUTS];
  if (folder === undefined) return PGlite.create({ ...(await seeded()), startParams });
  const dataDir = join(folder, 'data');
  const complete = join(folder, 'complete');
  if (existsSync(complete)) return PGlite.create({ dataDir, startParams });
  // Whoever made it has died before it was whole.
  await rm(dataDir, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const pglite = await PGlite.create({ ...(await seeded()), dataDir, startParams });
  await writeFile(complete, '');
  return pglite;
}

async function seeded(): Promise<{ readonly loadDataDir?: Blob }> {
  const seed = await readSeed();
  return seed ? { loadDataDir: seed } : {};
}

/** A fresh database that the build has made: unpacking it is quicker than making one. */
async function readSeed(): Promise<Blob | undefined> {
  const file = join(packageRoot(), 'dist', 'embedded-database.tar.gz');
  const bytes = await readFile(file).catch(() => undefined);
  return bytes && new Blob([bytes]);
}

/** Only here: it is an optional dependency of 27 MB. */
async function load(): Promise<typeof import('@electric-sql/pglite')> {
  try {
    return await import('@electric-sql/pglite');
  } catch (cause) {
    throw new EmbeddedDatabaseMissingError({ cause });
  }
}
