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
    on(event: 'commandComplete', listener: (message: { readonly text: string }) => void): unknown;
  };
}

/** What is known of the running transaction of a connection, up to a refused write. */
interface Done {
  hasBegun: boolean;
  /** Nothing but its BEGIN can have made it READ ONLY. */
  isUntouched: boolean;
  hasWritten: boolean;
  isRefused: boolean;
}

/** By PostgreSQL's word for a statement. What a cursor reads is read later. */
const isHarmless = (command: string) => command === 'DECLARE CURSOR';
const isWrite = (command: string) => /^(INSERT|UPDATE|DELETE|MERGE)/.test(command);

export interface RefusedAt {
  /** Masked. */
  readonly url: string;
  /** Whether a pooler is before the server: then the session that is asked may be another one than that which refused. */
  readonly isPooled: boolean;
}

/**
 * Tells, of a pool's connections, a server that refuses all writes, as a standby does after a fail-over, from a transaction
 * that somebody has made READ ONLY: PostgreSQL says 25006 of both. A transaction of which nothing was done yet was made so
 * by nobody. Of others the connection that was refused is asked when they have ended; another may lead to another server
 * by now. Of a server that refuses writes no connection is handed out again.
 */
export class RefusedWrites<Connection extends RefusableConnection> {
  readonly #connections: ReadonlySet<Connection>;
  readonly #done = new WeakMap<Connection, Done>();
  readonly #left = new WeakSet<Connection>();

  /** @param connections those that are open */
  constructor(connections: ReadonlySet<Connection>) {
    this.#connections = connections;
  }

  watch(connection: Connection): void {
    this.begin(connection);
    connection.connection.on('commandComplete', ({ text }) => {
      const done = this.#done.get(connection);
      if (!done || done.isRefused) return;
      if (done.hasBegun && !isHarmless(text)) done.isUntouched = false;
      done.hasBegun = true;
      done.hasWritten ||= isWrite(text);
    });
    connection.connection.on('errorMessage', (message) => {
      const done = this.#done.get(connection);
      if (done && isReadOnly(message)) done.isRefused = true;
    });
  }

  /** To be called before a transaction begins. */
  begin(connection: Connection): void {
    this.#done.set(connection, { hasBegun: false, isUntouched: true, hasWritten: false, isRefused: false });
  }

  /**
   * What the transaction has failed with: DatabaseUnavailableError for a refused write when all are refused.
   * @param connection still in use, its transaction rolled back
   * @param error what its work or a statement of ours threw
   */
  async failure(connection: Connection, error: unknown, { url, isPooled }: RefusedAt): Promise<unknown> {
    const done = this.#done.get(connection);
    if (!done?.isRefused) return error;
    const refuses = await refusesWrites(connection);
    if (refuses && !this.isLeft(connection)) this.leaveServer();
    if (!isReadOnly(error)) return error;
    if (refuses || done.isUntouched) return isOurs(error) ? error : unavailable(url, error);
    if (isPooled && !done.hasWritten) return error;
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
