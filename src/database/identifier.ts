import { InvalidArgumentError } from '../errors.ts';

const MAX_IDENTIFIER_BYTES = 63;

/** A schema's or table's name as SQL writes it, quoted. */
export const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** @throws InvalidArgumentError for a name that PostgreSQL would refuse or cut off, or knex take for a parameter */
export function assertSchemaName(name: string): void {
  const bytes = Buffer.byteLength(name);
  if (bytes < 1 || bytes > MAX_IDENTIFIER_BYTES || /[\0?]/.test(name)) {
    throw new InvalidArgumentError(
      'schema',
      'a name of 1 to 63 bytes without NUL and question marks',
      JSON.stringify(name.slice(0, 80)),
    );
  }
}

/** A table of ours, with its schema: `"public".svc_comm_outbox`. */
export const qualified = (schema: string, table: `svc_comm_${string}`): string => `${quoteIdentifier(schema)}.${table}`;
