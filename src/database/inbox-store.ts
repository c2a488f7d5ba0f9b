import type {
  InboxGroups as Groups,
  Inbox,
  InboxKey,
  InboxRequest,
  InboxResult,
  InboxWork,
  ParkedKey,
} from '../message/inbox.ts';
import { sleep } from '../util/sleep.ts';
import { codeOf } from '../util/thrown.ts';
import { isConflict } from './database-error.ts';
import type { SqlExecutor } from './executor.ts';
import { assertSchemaName } from './identifier.ts';
import { InboxGroups } from './inbox-groups.ts';
import { claimInbox, claimNewInbox } from './sql/claim-inbox.ts';
import { deleteOldInbox, inboxState, markInboxDead, reviveInbox } from './sql/inbox-rows.ts';
import { parkedKeys, parkKey, unparkKey } from './sql/parked-keys.ts';
import { ALL_RIGHTS, assertTableRights, type NeededRights } from './table-rights.ts';
import type { Transactions } from './transactions.ts';
import { waitingForRoom } from './waiting-for-room.ts';

export interface InboxStoreOptions {
  readonly transactions: Transactions;
  /** Where our tables are. @default 'public' */
  readonly schema?: string;
}

const NEEDED: NeededRights = Object.freeze({
  svc_comm_inbox: ALL_RIGHTS,
  svc_comm_parked_key: ALL_RIGHTS,
});

/** Runs of one delivery that conflicts end, before it has failed. */
const MOST_CONFLICTS = 5;
/** Between the first two of them, at most; twice as long each time. */
const CONFLICT_MS = 10;

/** By code, not by class, as the layers outside look at it: what the handler made of a conflict stands. */
const DECISIONS: readonly unknown[] = ['SVC_COMM_REJECT', 'SVC_COMM_RETRY_LATER'];
const isDecided = (error: unknown): boolean => DECISIONS.includes(codeOf(error));

/** Rows that one statement of the retention deletes. */
const DELETE_BATCH = 1000;

/** The inbox as a table: its row commits or rolls back with the handler's own writes. */
export class InboxStore implements Inbox {
  readonly #transactions: Transactions;
  readonly #schema: string;

  constructor({ transactions, schema = 'public' }: InboxStoreOptions) {
    assertSchemaName(schema);
    this.#transactions = transactions;
    this.#schema = schema;
  }

  /** Who loses to another transaction has done nothing wrong: it runs again, a few times. */
  async handle<T>(request: InboxRequest, work: InboxWork<T>): Promise<InboxResult<T>> {
    const { timeoutMs = Number.POSITIVE_INFINITY } = request;
    const untilMs = performance.now() + timeoutMs;
    for (let conflicts = 0; ; conflicts += 1) {
      try {
        return await this.#handleOnce(request, waitingForRoom(work));
      } catch (error) {
        if (!isConflict(error) || isDecided(error) || conflicts === MOST_CONFLICTS) throw error;
        await sleep(Math.random() * CONFLICT_MS * 2 ** conflicts, request.signal);
        if (request.signal?.aborted || performance.now() > untilMs) throw error;
      }
    }
  }

  #handleOnce<T>(request: InboxRequest, work: InboxWork<T>): Promise<InboxResult<T>> {
    return this.#inOwn(request.handler, async (executor, handle): Promise<InboxResult<T>> => {
      const found = await this.#claim(executor, request);
      return found === 'claimed' ? { kind: 'handled', value: await work(handle) } : { kind: found };
    });
  }

  grouped(groups: Groups): Pick<Inbox, 'handle'> {
    return new InboxGroups({ transactions: this.#transactions, schema: this.#schema, alone: this, groups });
  }

  /**
   * @throws MigrationRequiredError (SVC_COMM_MIGRATION_REQUIRED) when its table is missing
   * @throws DatabaseRightsError (SVC_COMM_DATABASE_RIGHTS)
   */
  async verify(): Promise<void> {
    const nobody = { queue: '', source: '', messageId: '' };
    await this.#inOwn('inbox', async (executor) => {
      await assertTableRights(executor, this.#schema, NEEDED);
      await inboxState(executor, this.#schema, nobody);
    });
  }

  markDead(key: InboxKey): Promise<void> {
    return this.#inOwn('inbox', (executor) => markInboxDead(executor, this.#schema, key));
  }

  parkKey(queue: string, orderKey: string): Promise<void> {
    return this.#inOwn('inbox', (executor) => parkKey(executor, this.#schema, queue, orderKey));
  }

  /**
   * Lets a parked key's messages be handled again: after its dead letters were put back to work.
   * @returns whether it was parked, and not parked again since it was seen: another letter of it is dead then
   */
  unparkKey(queue: string, key: ParkedKey): Promise<boolean> {
    return this.#inOwn('inbox', (executor) => unparkKey(executor, this.#schema, queue, key));
  }

  /** Keys that are parked now. */
  parkedKeys(queue: string): Promise<ParkedKey[]> {
    return this.#inOwn('inbox', (executor) => parkedKeys(executor, this.#schema, queue));
  }

  /**
   * Forgets what is older: from then on a copy of such a message would be handled again. In batches of their own
   * transactions, so that no lock is held for long.
   * @param olderThanMs age by the database's clock
   * @returns how many rows were deleted
   */
  async deleteExpired(olderThanMs: number, signal?: AbortSignal): Promise<number> {
    for (let total = 0; ; ) {
      const deleted = await this.#inOwn('inbox retention', (executor) =>
        deleteOldInbox(executor, this.#schema, olderThanMs, DELETE_BATCH),
      );
      total += deleted;
      if (deleted < DELETE_BATCH || signal?.aborted) return total;
    }
  }

  async #claim(executor: SqlExecutor, request: InboxRequest): Promise<'claimed' | 'done' | 'dead' | 'parked'> {
    const { key, isRedriven, timeoutMs } = request;
    const orderKey = isRedriven ? null : (request.orderKey ?? null);
    const xid = isRedriven ? undefined : await claimNewInbox(executor, this.#schema, key, orderKey, timeoutMs);
    if (xid !== undefined) {
      this.#began(xid);
      return 'claimed';
    }
    for (;;) {
      const claim = await claimInbox(executor, this.#schema, key, orderKey, timeoutMs);
      this.#began(claim.xid);
      if (claim.isClaimed) return 'claimed';
      if (claim.isParked) return claim.state ?? 'parked';
      // A row that another transaction committed while the claim waited for it is not in the claim's snapshot.
      const state = claim.state ?? (await inboxState(executor, this.#schema, key));
      if (state === 'done' || (state === 'dead' && !isRedriven)) return state;
      if (state === 'dead' && (await reviveInbox(executor, this.#schema, key))) return 'claimed';
      // Gone or changed since: the retention deleted it, or another copy revived it. Look again.
    }
  }

  #began(xid: string): void {
    const transaction = this.#transactions.current();
    if (transaction) transaction.xid = xid;
  }

  #inOwn<T>(name: string, work: (executor: SqlExecutor, handle: unknown) => Promise<T>): Promise<T> {
    return this.#transactions.runOwn(
      async (handle) => {
        const transaction = this.#transactions.current();
        if (!transaction) throw new Error('a transaction is not ambient in its own work');
        return work(transaction.executor, handle);
      },
      { name },
    );
  }
}
