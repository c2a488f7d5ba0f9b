import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { MigrationBlockedError, MigrationRightsError, type TableHolder } from '../errors.ts';
import { packageRoot } from '../util/own-files.ts';
import { sleep } from '../util/sleep.ts';
import { type Waits, waitsUntilMs } from '../util/waits.ts';
import { errorText, sqlState, toDatabaseError } from './database-error.ts';
import type { SqlExecutor } from './executor.ts';
import { assertSchemaName, qualified, quoteIdentifier } from './identifier.ts';
import { describeHolders, tableHolders } from './table-holders.ts';

interface SchemaOption {
  /** Where our tables are; it is made when missing. @default 'public' */
  readonly schema?: string;
}

export interface MigrateOptions extends SchemaOption {
  /** Whether it tries again while transactions keep it from changing a table. @default true */
  readonly wait?: Waits;
  /** It gave way to these, and tries again. */
  readonly onBlocked?: (holders: readonly TableHolder[]) => void;
}

/** First half of the advisory lock that lets one migration of a database run at a time; the schema's hash is the second. */
const LOCK_NAMESPACE = 0x5c0d;
export const MIGRATIONS_TABLE = 'svc_comm_migrations';
/**
 * Who waits for a whole table has all others wait behind it: a publisher of events for as long as this. An autovacuum of
 * the table gives way only to one that has waited for `deadlock_timeout` (a second by default).
 */
const LOCK_TIMEOUT = `SELECT set_config('lock_timeout', greatest(2000, setting::int + 1000)::text, true)
  FROM pg_settings WHERE name = 'deadlock_timeout'`;
/** What waits for another migration, or for a table, and what fills one, is not to be ended by a limit of the role's. */
const NO_STATEMENT_TIMEOUT = "SELECT set_config('statement_timeout', '0', true)";
/** Between two tries, so that those get on. */
const PAUSE_MS = { least: 1_000, more: 1_000 } as const;
/** lock_not_available, deadlock_detected. */
const BLOCKED = new Set(['55P03', '40P01']);

/**
 * Brings our tables up to this version: runs the files of `migrations/` that have not run yet, all in one transaction.
 * Safe to run twice and by several processes at once: the others wait, find nothing left, and carry on.
 *
 * A table that a transaction has locked is waited for two seconds at a time, with pauses: what else uses it is held up no
 * longer.
 * @returns the names of the files that this call ran
 * @throws MigrationRightsError, MigrationBlockedError
 */
export async function migrate(knex: Knex, options: MigrateOptions = {}): Promise<string[]> {
  const { schema = 'public', wait = true, onBlocked } = options;
  assertSchemaName(schema);
  const files = await migrationFiles();
  const untilMs = waitsUntilMs(wait);
  for (;;) {
    try {
      return await runFiles(knex, schema, files);
    } catch (error) {
      if (!BLOCKED.has(sqlState(error) ?? '')) throw error;
      // Who cannot be asked now is asked next time.
      const holders = await tableHolders(knex, schema).catch(() => []);
      if (performance.now() >= untilMs)
        throw new MigrationBlockedError(schema, describeHolders(holders), holders, { cause: error });
      onBlocked?.(holders);
    }
    await sleep(PAUSE_MS.least + Math.random() * PAUSE_MS.more);
  }
}

function runFiles(knex: Knex, schema: string, files: readonly string[]): Promise<string[]> {
  return knex
    .transaction(async (trx) => {
      await trx.raw(NO_STATEMENT_TIMEOUT);
      await trx.raw('SELECT pg_advisory_xact_lock(?, hashtext(?))', [LOCK_NAMESPACE, schema]);
      await trx.raw(LOCK_TIMEOUT);
      // CREATE SCHEMA IF NOT EXISTS asks for the right to create one even when it is there.
      const { rows } = await trx.raw('SELECT 1 FROM pg_namespace WHERE nspname = ?', [schema]);
      if (rows.length === 0) await trx.raw(`CREATE SCHEMA ${quoteIdentifier(schema)}`);
      const [, ran]: [number, string[]] = await trx.migrate.latest({
        tableName: MIGRATIONS_TABLE,
        schemaName: schema,
        migrationSource: new SqlFiles(files, schema),
        // In a rolling update an older version may run after a newer one.
        disableMigrationsListValidation: true,
      });
      return ran;
    })
    .catch((error: unknown) => {
      if (sqlState(error) !== '42501') throw BLOCKED.has(sqlState(error) ?? '') ? error : toDatabaseError(error);
      // knex puts the whole statement before the server's words.
      const text = errorText(error).split(' - ').at(-1) ?? '';
      throw new MigrationRightsError(schema, text, { cause: error });
    });
}

/** Files of `migrations/` that have not run on this database, in order. Writes nothing. */
export async function pendingMigrations(db: SqlExecutor, { schema = 'public' }: SchemaOption = {}): Promise<string[]> {
  assertSchemaName(schema);
  const files = await migrationFiles();
  // Of a schema that this user may not use, to_regclass would be an error.
  const [found] = await db.query<{ present: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                     WHERE n.nspname = '${schema.replaceAll("'", "''")}' AND c.relname = '${MIGRATIONS_TABLE}') AS present`,
    [],
  );
  if (!found?.present) return files;
  const done = await db.query<{ name: string }>(`SELECT name FROM ${qualified(schema, MIGRATIONS_TABLE)}`, []);
  const names = new Set(done.map(({ name }) => name));
  return files.filter((file) => !names.has(file));
}

const migrationsFolder = (): string => join(packageRoot(), 'migrations');

async function migrationFiles(): Promise<string[]> {
  return (await readdir(migrationsFolder())).filter((file) => /^\d{3}_\w+\.sql$/.test(file)).sort();
}

/** SQL files as knex migrations; `:schema` in them is the quoted schema. */
class SqlFiles implements Knex.MigrationSource<string> {
  readonly #files: readonly string[];
  readonly #schema: string;

  constructor(files: readonly string[], schema: string) {
    this.#files = files;
    this.#schema = schema;
  }

  async getMigrations(): Promise<string[]> {
    return [...this.#files];
  }

  getMigrationName(file: string): string {
    return file;
  }

  async getMigration(file: string): Promise<Knex.Migration> {
    const sql = await readFile(join(migrationsFolder(), file), 'utf8');
    const schema = quoteIdentifier(this.#schema);
    // knex takes every question mark for a parameter.
    const statement = sql.replaceAll(':schema', () => schema).replaceAll('?', '\\?');
    return {
      up: async (trx) => void (await trx.raw(statement)),
      down: () => Promise.reject(new Error('migrations of svc-comm only go forward')),
    };
  }
}
