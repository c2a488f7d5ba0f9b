import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { MigrationRightsError } from '../errors.ts';
import { packageRoot } from '../util/own-files.ts';
import { errorText, sqlState, toDatabaseError } from './database-error.ts';
import type { SqlExecutor } from './executor.ts';
import { assertSchemaName, qualified, quoteIdentifier } from './identifier.ts';

export interface MigrateOptions {
  /** Where our tables are; it is made when missing. @default 'public' */
  readonly schema?: string;
}

/** First half of the advisory lock that lets one migration of a database run at a time; the schema's hash is the second. */
const LOCK_NAMESPACE = 0x5c0d;
export const MIGRATIONS_TABLE = 'svc_comm_migrations';

/**
 * Brings our tables up to this version: runs the files of `migrations/` that have not run yet, all in one transaction.
 * Safe to run twice and by several processes at once: the others wait, find nothing left, and carry on.
 * @returns the names of the files that this call ran
 */
export async function migrate(knex: Knex, { schema = 'public' }: MigrateOptions = {}): Promise<string[]> {
  assertSchemaName(schema);
  const files = await migrationFiles();
  return knex
    .transaction(async (trx) => {
      await trx.raw('SELECT pg_advisory_xact_lock(?, hashtext(?))', [LOCK_NAMESPACE, schema]);
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
      if (sqlState(error) !== '42501') throw toDatabaseError(error);
      // knex puts the whole statement before the server's words.
      const text = errorText(error).split(' - ').at(-1) ?? '';
      throw new MigrationRightsError(schema, text, { cause: error });
    });
}

/** Files of `migrations/` that have not run on this database, in order. Writes nothing. */
export async function pendingMigrations(
  db: SqlExecutor,
  { schema = 'public' }: MigrateOptions = {},
): Promise<string[]> {
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
  readonly #files: string[];
  readonly #schema: string;

  constructor(files: string[], schema: string) {
    this.#files = files;
    this.#schema = schema;
  }

  async getMigrations(): Promise<string[]> {
    return this.#files;
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
