import { type DatabaseConnection, DEFAULT_CONNECTION_OPTIONS } from '../database/connection.ts';
import type { DatabaseLink } from '../database/link.ts';
import { ServerLinks } from '../database/server-links.ts';
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

/**
 * The connections of a relay, one for each stage. All lead to the same server, one that takes writes: a read from a
 * standby, or from the old primary after a fail-over, finds rows again that the others have deleted elsewhere. So when one
 * is lost the others are made anew with it, too.
 */
export class RelayLinks {
  readonly read: DatabaseLink;
  readonly write: DatabaseLink;
  readonly control: DatabaseLink;
  readonly #links: ServerLinks;

  constructor({ connect, logger, onLost, onMoved }: RelayLinksOptions) {
    this.#links = new ServerLinks({ logger, onLost, onMoved, areLostTogether: true });
    const link = (name: string, settings: Readonly<Record<string, string>>) =>
      this.#links.add({ name, connect: () => connect(name, { ...OWN_LIMIT, ...settings }) });
    this.read = link('read', { ...PLAN_SETTINGS, lock_timeout: WRITE_LOCK_TIMEOUT });
    this.write = link('write', { ...PLAN_SETTINGS, lock_timeout: WRITE_LOCK_TIMEOUT });
    this.control = link('control', { jit: 'off', lock_timeout: CONTROL_LOCK_TIMEOUT });
  }

  get isConnected(): boolean {
    return this.#links.isConnected;
  }

  async close(): Promise<void> {
    await this.#links.close();
  }
}
