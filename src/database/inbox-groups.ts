import { AsyncLocalStorage } from 'node:async_hooks';
import { DeadlineExceededError, HandlerTimeoutError, TransactionEndedInsideError } from '../errors.ts';
import type { InboxGroups as Groups, Inbox, InboxRequest, InboxResult, InboxWork } from '../message/inbox.ts';
import { type Deferred, deferred } from '../util/deferred.ts';
import { isOutage } from '../util/is-outage.ts';
import { isConflict, sqlState } from './database-error.ts';
import type { TransactionExecutor, TransactionStatus } from './executor.ts';
import { type AskedRow, claimInboxRows } from './sql/claim-inbox-rows.ts';
import type { AmbientTransaction } from './transaction-scope.ts';
import type { RunPart, Transactions } from './transactions.ts';
import { waitingForRoom } from './waiting-for-room.ts';

export interface InboxGroupsOptions {
  readonly transactions: Transactions;
  readonly schema: string;
  /** Handles one message in a transaction of its own. */
  readonly alone: Pick<Inbox, 'handle'>;
  readonly groups: Groups;
}

interface Member extends AskedRow {
  readonly request: InboxRequest;
  readonly work: InboxWork<unknown>;
  /** Runs something where the message came from: its correlation, its span. */
  readonly inItsContext: <T>(run: () => T) => T;
  readonly result: Deferred<InboxResult<unknown>>;
}

/** What a transaction leaves to be done. */
interface Left {
  /** Rolled back with one that failed; may share a transaction again. */
  readonly together: readonly Member[];
  /** Each in a transaction of its own: it can then be seen whose fault it is. */
  readonly alone: readonly Member[];
}

const NONE: readonly Member[] = Object.freeze([]);

/**
 * Messages that share a transaction, which saves each of them a BEGIN, a COMMIT and a claim. It goes by hope: no
 * savepoints, which would cost as much as they save. One that fails takes the whole back, and the others begin again
 * without it, which they must bear anyway, since a process may die at any time.
 *
 *   waiting ──▶ together ─────────────────────▶ committed: all have their result
 *                 │  ▲ one threw: the others, once more
 *                 │  └──┐
 *                 ├─────┘ again, or nobody knows whose fault it is, or not claimed
 *                 ▼
 *               alone, one after the other
 */
export class InboxGroups implements Pick<Inbox, 'handle'> {
  readonly #options: InboxGroupsOptions;
  /** Groups belong to no message: what is set around the first must not be set around all that follow. */
  readonly #outside = AsyncLocalStorage.snapshot();
  #waiting: Member[] = [];
  #running = 0;
  #isFilling = false;

  constructor(options: InboxGroupsOptions) {
    this.#options = options;
  }

  handle<T>(request: InboxRequest, work: InboxWork<T>): Promise<InboxResult<T>> {
    const { key, isRedriven, orderKey = null } = request;
    const result = deferred<InboxResult<unknown>>();
    const inItsContext = AsyncLocalStorage.snapshot();
    const waited = waitingForRoom(work);
    this.#waiting.push({ key, orderKey: isRedriven ? null : orderKey, request, work: waited, inItsContext, result });
    this.#outside(() => this.#fill());
    return result.promise as Promise<InboxResult<T>>;
  }

  /** At the end of the turn, when all that came with one read of the socket is here. */
  #fill(): void {
    if (this.#isFilling || this.#waiting.length === 0) return;
    this.#isFilling = true;
    setImmediate(() => {
      this.#isFilling = false;
      const { size, atOnce } = this.#options.groups;
      while (this.#waiting.length > 0 && this.#running < atOnce) void this.#run(this.#waiting.splice(0, size));
    });
  }

  async #run(members: readonly Member[]): Promise<void> {
    this.#running += 1;
    try {
      const first = await this.#together(members);
      const second = await this.#together(first.together);
      await this.#eachAlone([...first.alone, ...second.alone, ...second.together]);
    } finally {
      this.#running -= 1;
      this.#fill();
    }
  }

  /** Never throws: who has failed is told, and what is left is returned. */
  async #together(given: readonly Member[]): Promise<Left> {
    const members = given.filter(isWanted);
    const asked = distinct(members);
    if (asked.length < 2) return { together: NONE, alone: members };
    const values = new Map<Member, unknown>();
    let begun = 0;
    let failure: Failure | undefined;
    const runOne = async (member: Member, part: RunPart, { executor }: AmbientTransaction) => {
      begun += 1;
      try {
        if (!isOurs(member)) throw member.request.signal?.reason;
        values.set(member, await member.inItsContext(() => part(member.work)));
      } catch (error) {
        failure = { member, error, isSure: isSure(error, await statusBehind(error, executor)) };
        throw error;
      }
    };
    try {
      await this.#options.transactions.runParts(
        async (whole, part) => {
          values.clear();
          const { schema } = this.#options;
          const { claimed, xid } = await claimInboxRows(whole.executor, schema, asked, asked[0]?.request.timeoutMs);
          whole.xid = xid;
          for (const member of claimed) await runOne(member, part, whole);
        },
        { name: nameOf(asked) },
      );
    } catch (error) {
      if (begun === 0) return rejectAll(members, error);
      return afterFailure(members, error, failure);
    }
    for (const [member, value] of values) member.result.resolve({ kind: 'handled', value });
    return { together: NONE, alone: members.filter((member) => !values.has(member)) };
  }

  async #eachAlone(members: readonly Member[]): Promise<void> {
    for (const [i, member] of members.entries()) {
      const refusal = await this.#alone(member);
      // Each of the others would wait for its own refusal, and those that come meanwhile behind them.
      if (refusal) return void rejectAll(members.slice(i + 1), refusal.error);
    }
  }

  /** @returns why there is no transaction for anybody now */
  async #alone(member: Member): Promise<{ readonly error: unknown } | undefined> {
    if (!isWanted(member)) return undefined;
    const { request, work, inItsContext, result } = member;
    let hasBegun = false;
    const begin = (transaction: unknown) => {
      hasBegun = true;
      return work(transaction);
    };
    try {
      result.resolve(await inItsContext(() => this.#options.alone.handle(request, begin)));
      return undefined;
    } catch (error) {
      result.reject(error);
      return !hasBegun && isOutage(error) ? { error } : undefined;
    }
  }
}

interface Failure {
  readonly member: Member;
  readonly error: unknown;
  /** Whether nobody else can have brought it about. */
  readonly isSure: boolean;
}

/** Of one that is past its deadline the work itself says what becomes of it. */
const isOurs = ({ request: { signal } }: Member): boolean =>
  signal?.aborted !== true || signal.reason instanceof DeadlineExceededError;

/** When it is not ours any more, it is told so. */
function isWanted(member: Member): boolean {
  if (isOurs(member)) return true;
  member.result.reject(member.request.signal?.reason);
  return false;
}

/** A copy of a message goes alone when the group is committed: it finds the effect of the first. */
function distinct(members: readonly Member[]): Member[] {
  const first = new Map<string, Member>();
  for (const member of members) {
    const { queue, source, messageId } = member.key;
    const identity = JSON.stringify([queue, source, messageId]);
    if (!first.has(identity)) first.set(identity, member);
  }
  return [...first.values()];
}

function nameOf(members: readonly Member[]): string {
  const handlers = new Set(members.map(({ request }) => request.handler));
  return `${[...handlers].join(', ')} (${members.length} messages)`;
}

function rejectAll(members: readonly Member[], error: unknown): Left {
  for (const { result } of members) result.reject(error);
  return { together: NONE, alone: NONE };
}

/**
 * A library that hides its connection has to be asked. Not of one that took too long: a statement of it may be under way
 * still, and what becomes of that says nothing about the others.
 */
async function statusBehind(error: unknown, executor: TransactionExecutor): Promise<TransactionStatus> {
  const status = executor.status();
  if (status !== 'unknown' || sqlState(error) !== undefined || error instanceof HandlerTimeoutError) return status;
  return await executor.query('SELECT 1', []).then(
    () => 'open',
    (refusal: unknown) => (sqlState(refusal) === '25P02' ? 'failed' : status),
  );
}

/**
 * A statement that one of them did not await may fail while another runs, and from then on every statement fails: with
 * 25P02, or with whatever that other makes of it.
 */
function isSure(error: unknown, status: TransactionStatus): boolean {
  const state = sqlState(error);
  if (state === undefined) return status !== 'failed';
  // Rows that the others of the group hold may have brought a conflict about.
  return state !== '25P02' && !isConflict(error);
}

/**
 * A connection that was lost is no proof of an outage: one of them may lose it each time (PostgreSQL ends those that are
 * idle in a transaction for too long), and the others would wait with it for ever.
 * @param failure what one of them threw, which is not always what the transaction failed with
 */
function afterFailure(members: readonly Member[], error: unknown, failure: Failure | undefined): Left {
  const isTheirs =
    error === failure?.error || (error instanceof TransactionEndedInsideError && error.cause === failure?.error);
  if (!failure?.isSure || !isTheirs) return { together: NONE, alone: members };
  failure.member.result.reject(error);
  return { together: members.filter((member) => member !== failure.member), alone: NONE };
}
