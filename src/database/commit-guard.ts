import { TransactionFinishedError } from '../errors.ts';
import { sqlState } from './database-error.ts';
import type { SqlExecutor } from './executor.ts';

/**
 * A cursor WITH HOLD is read at COMMIT, and reading this one fails: so a COMMIT that somebody else sends is a rollback.
 * `concat` is not immutable, or it would fail at once.
 */
const FORBID = `DECLARE svc_comm_forbid_commit CURSOR WITH HOLD FOR
  SELECT concat('a handler must return or throw, not end the transaction that other messages share')::int`;
/** Reads nothing, and fails when the cursor has gone with its transaction. */
const LOOK = 'MOVE RELATIVE 0 FROM svc_comm_forbid_commit';
const ALLOW = 'CLOSE svc_comm_forbid_commit';

/** 34000: no such cursor. */
function asEnded(error: unknown): never {
  throw sqlState(error) === '34000' ? new TransactionFinishedError({ cause: error }) : error;
}

/** Keeps a transaction that several share from being committed by one of them, behind which the others would have none. */
export class CommitGuard {
  readonly #executor: SqlExecutor;

  private constructor(executor: SqlExecutor) {
    this.#executor = executor;
  }

  static async begin(executor: SqlExecutor): Promise<CommitGuard> {
    await executor.query(FORBID, []);
    return new CommitGuard(executor);
  }

  /** @throws TransactionFinishedError (SVC_COMM_TRANSACTION_FINISHED) when somebody has ended it all the same */
  async assertOpen(): Promise<void> {
    await this.#executor.query(LOOK, []).catch(asEnded);
  }

  /** From now on it can be committed. @throws as `assertOpen` */
  async end(): Promise<void> {
    await this.#executor.query(ALLOW, []).catch(asEnded);
  }
}
