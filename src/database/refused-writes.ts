import { DatabaseUnavailableError } from '../errors.ts';
import { isConnectionError, isReadOnly, unavailable } from './database-error.ts';
import { isOurs } from './outage-of-handler.ts';
import { sessionIsReadOnly } from './sql/session-is-read-only.ts';

/** What we need of a client of pg. */
export interface RefusableConnection {
  readonly readyForQuery: boolean;
  getTransactionStatus(): string | null;
  query(sql: string): Promise<{ rows: unknown[] }>;
  readonly connection: {
    on(event: 'errorMessage', listener: (message: { readonly code?: string }) => void): unknown;
  };
}

/**
 * Tells, of a pool's connections, a server that refuses all writes, as a standby does after a fail-over, from a transaction
 * that somebody has made READ ONLY: PostgreSQL says 25006 of both. Only the connection that was refused knows, when its
 * transaction has ended; another may lead to another server by now. Of a server that refuses writes no connection is
 * handed out again.
 */
export class RefusedWrites<Connection extends RefusableConnection> {
  readonly #connections: ReadonlySet<Connection>;
  /** In their last transaction a write was refused. */
  readonly #refused = new WeakSet<Connection>();
  readonly #left = new WeakSet<Connection>();

  /** @param connections those that are open */
  constructor(connections: ReadonlySet<Connection>) {
    this.#connections = connections;
  }

  watch(connection: Connection): void {
    connection.connection.on('errorMessage', (message) => {
      if (isReadOnly(message)) this.#refused.add(connection);
    });
  }

  /** To be called before a transaction begins. */
  begin(connection: Connection): void {
    this.#refused.delete(connection);
  }

  /**
   * What the transaction has failed with: DatabaseUnavailableError for a refused write when all are refused.
   * @param connection still in use, its transaction rolled back
   * @param error what its work or a statement of ours threw
   * @param url masked
   */
  async failure(connection: Connection, error: unknown, url: string): Promise<unknown> {
    if (!this.#refused.has(connection)) return error;
    const refusesAll = await refusesWrites(connection);
    if (refusesAll && !this.isLeft(connection)) this.leaveServer();
    if (!isReadOnly(error)) return error;
    if (refusesAll) return isOurs(error) ? error : unavailable(url, error);
    // What a statement of ours has said, which took the server for the cause.
    return error instanceof DatabaseUnavailableError ? (error.cause ?? error) : error;
  }

  /** Those in use end what they do. */
  leaveServer(): void {
    for (const connection of this.#connections) this.#left.add(connection);
  }

  isLeft(connection: Connection): boolean {
    return this.#left.has(connection);
  }
}

/** Also one that has gone meanwhile: so does a server that is made a standby. */
async function refusesWrites(connection: RefusableConnection): Promise<boolean> {
  // Of a ROLLBACK without an answer the library does not wait for the end.
  if (!connection.readyForQuery || connection.getTransactionStatus() !== 'I') return false;
  const query = async <Row>(sql: string) => (await connection.query(sql)).rows as Row[];
  return await sessionIsReadOnly({ query }).catch(isConnectionError);
}
