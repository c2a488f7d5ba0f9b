import { type DatabaseConnection, DEFAULT_CONNECTION_OPTIONS } from '../database/connection.ts';
import { DatabaseLink } from '../database/link.ts';
import { serverStart } from '../database/sql/server-start.ts';
import { sessionIsReadOnly } from '../database/sql/session-is-read-only.ts';
import { DatabaseUnavailableError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { PLAN_SETTINGS } from './sql/read-batch.ts';

export interface RelayLinksOptions {
  /** @param settings of its session */
  readonly connect: (name: string, settings: Readonly<Record<string, string>>) => Promise<DatabaseConnection>;
  readonly logger: Logger;
  /** One of the three is gone. */
  readonly onLost: () => void;
  /** They lead to another server than before, or the same was started anew: it may not have what that one said. */
  readonly onMoved: () => void;
}

/** Statements that write do not wait longer than this for somebody else's locks. */
const WRITE_LOCK_TIMEOUT = '2s';
const CONTROL_LOCK_TIMEOUT = '250ms';
/**
 * In place of that of the role or the database, which is meant for others: one read that takes longer would never end. The
 * server does not see that a connection was given up while it works for it: it ends the statement at the same time.
 */
const OWN_LIMIT = Object.freeze({ statement_timeout: `${DEFAULT_CONNECTION_OPTIONS.statementDeadlineMs}ms` });
/** Found so many times in a row, another server is where the address leads now; before, it may be one of two in turn. */
const MOVED_AFTER = 3;

/** A server on which the other links are not. */
interface Stray {
  readonly server: string;
  /** Found in a row. */
  readonly times: number;
}

/**
 * The connections of a relay, one for each stage. All lead to the same server, one that takes writes: a read from a
 * standby, or from the old primary after a fail-over, finds rows again that the others have deleted elsewhere. So a server
 * that refuses writes is not taken for reads either, when one is lost the others are made anew with it, and one that comes
 * to another server than the others tries again, with back-off: when it is there each time, the others follow.
 */
export class RelayLinks {
  readonly read: DatabaseLink;
  readonly write: DatabaseLink;
  readonly control: DatabaseLink;
  readonly #options: RelayLinksOptions;
  /** Ended by ourselves, since another was lost. */
  readonly #ending = new Set<DatabaseLink>();
  /** Where those that are connected are, or were last: by the start of the server. */
  #server: string | undefined;
  readonly #strays = new Map<DatabaseLink, Stray>();
  #isClosing = false;

  constructor(options: RelayLinksOptions) {
    this.#options = options;
    this.read = this.#link('read', { ...PLAN_SETTINGS, lock_timeout: WRITE_LOCK_TIMEOUT });
    this.write = this.#link('write', { ...PLAN_SETTINGS, lock_timeout: WRITE_LOCK_TIMEOUT });
    this.control = this.#link('control', { jit: 'off', lock_timeout: CONTROL_LOCK_TIMEOUT });
  }

  get isConnected(): boolean {
    return this.#all.every((link) => link.isConnected);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#all.map((link) => link.close()));
  }

  get #all(): readonly DatabaseLink[] {
    return [this.read, this.write, this.control];
  }

  #link(name: string, settings: Readonly<Record<string, string>>): DatabaseLink {
    const { connect, logger, onLost } = this.#options;
    const link: DatabaseLink = new DatabaseLink({
      name,
      connect: () => connect(name, { ...OWN_LIMIT, ...settings }),
      logger,
      onConnect: async (connection) => {
        await assertTakesWrites(connection);
        this.#arrive(link, await serverStart(connection));
      },
      onLost: () => {
        if (this.#isClosing) return;
        onLost();
        if (!this.#ending.has(link)) this.#connectAnew(link, this.#connectedBeside(link));
      },
    });
    return link;
  }

  /** @throws DatabaseUnavailableError when the others are on another server */
  #arrive(link: DatabaseLink, server: string): void {
    const elsewhere = server === this.#server ? [] : this.#connectedBeside(link);
    const before = this.#strays.get(link);
    const times = before?.server === server ? before.times + 1 : 1;
    if (elsewhere.length > 0 && times < MOVED_AFTER) {
      this.#strays.set(link, { server, times });
      throw new DatabaseUnavailableError('', "the address leads to another server than the relay's other connections");
    }
    this.#strays.delete(link);
    const hasMoved = this.#server !== undefined && server !== this.#server;
    this.#server = server;
    if (elsewhere.length > 0) this.#connectAnew(link, elsewhere);
    if (hasMoved) this.#options.onMoved();
  }

  #connectedBeside(link: DatabaseLink): readonly DatabaseLink[] {
    return this.#all.filter((other) => other !== link && other.isConnected);
  }

  /** Without anything to publish nobody would ask for them, and the relay would not be ready. */
  #connectAnew(link: DatabaseLink, others: readonly DatabaseLink[]): void {
    const ended = Promise.all(others.map((other) => this.#end(other)));
    // It rejects when the links are closed.
    ended.then(() => Promise.all([link, ...others].map((one) => one.connected()))).catch(() => undefined);
  }

  async #end(link: DatabaseLink): Promise<void> {
    this.#ending.add(link);
    await link.reset();
    this.#ending.delete(link);
  }
}

async function assertTakesWrites(connection: DatabaseConnection): Promise<void> {
  if (!(await sessionIsReadOnly(connection))) return;
  throw new DatabaseUnavailableError('', 'transaction_read_only is on', { outage: 'read-only' });
}
