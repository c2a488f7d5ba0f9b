import { connectDatabase, type DatabaseConnection } from '../database/connection.ts';

const SCHEMA = 'svc_comm_testing';

/**
 * Makes the time of an embedded database one that can be moved: what asks for `clock_timestamp()` without naming a schema
 * finds ours first. All sessions share one backend there, and its search path with it; tables must be made after this.
 */
export class MovedDatabase {
  readonly #connection: DatabaseConnection;

  private constructor(connection: DatabaseConnection) {
    this.#connection = connection;
  }

  static async prepare(url: string): Promise<MovedDatabase> {
    const connection = await connectDatabase({ url, applicationName: 'svc-comm testing', prepare: false });
    await connection.query(`CREATE SCHEMA ${SCHEMA}`, []);
    await connection.query(`CREATE TABLE ${SCHEMA}.moved (ms double precision NOT NULL)`, []);
    await connection.query(`INSERT INTO ${SCHEMA}.moved VALUES (0)`, []);
    await connection.query(
      `CREATE FUNCTION ${SCHEMA}.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
       AS $$ SELECT pg_catalog.clock_timestamp() + ms * interval '1 ms' FROM ${SCHEMA}.moved $$`,
      [],
    );
    await connection.query(`SET search_path TO ${SCHEMA}, pg_catalog, public`, []);
    return new MovedDatabase(connection);
  }

  async move(ms: number): Promise<void> {
    await this.#connection.query(`UPDATE ${SCHEMA}.moved SET ms = ms + $1::double precision`, [String(ms)]);
  }

  query<Row extends object>(sql: string): Promise<Row[]> {
    return this.#connection.query<Row>(sql, []);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
