import type { SqlExecutor } from '../database/executor.ts';
import { readCounts } from './sql/read-backlog.ts';

/** What waits to be published, from the tables alone: it says the same whether a relay runs or not. */
export interface Backlog {
  /** Rows in the outbox. */
  readonly rows: number;
  /**
   * How long the oldest waits for a relay by the database's clock, in ms: a row of the outbox since it was written, a
   * future event since it was due. 0 when there is none.
   */
  readonly oldestMs: number;
  /** Rows that the broker has refused, waiting for another attempt. */
  readonly failing: number;
  /** What the broker said of the one refused last; undefined when none is. */
  readonly lastError: string | undefined;
  /** Future events whose time has not come. */
  readonly future: number;
  /** Future events whose time has come and that are not published yet. */
  readonly futureDue: number;
  /** Relays that live. */
  readonly relays: number;
}

/** @throws MigrationRequiredError, DatabaseUnavailableError */
export async function readBacklog(executor: SqlExecutor, schema: string): Promise<Backlog> {
  return readCounts(executor, schema);
}
