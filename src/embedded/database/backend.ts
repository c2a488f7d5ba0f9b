import { type Deferred, deferred } from '../../util/deferred.ts';
import { readStatus, type TransactionStatus } from './backend-messages.ts';
import { MessageSplitter, type WireMessage } from './message-splitter.ts';
import type { Pglite } from './pglite.ts';

/** Another connection's transaction keeps the backend, and does nothing with it. */
export class BackendHeld extends Error {}
/** The backend was closed, or has broken down: nothing runs any more. */
export class BackendGone extends Error {}

interface Turn {
  /** Whose statements these are. */
  readonly user: object;
  readonly bytes: Uint8Array;
  /** Whether an answer may end without a ReadyForQuery. */
  readonly goesOn: boolean;
  /** Whether PostgreSQL passes over them behind an error, since no Sync ends them. */
  readonly isSkippable: boolean;
  /** Of the server itself: it waits as long as it takes. */
  readonly isHousekeeping: boolean;
  readonly onMessage: (message: WireMessage) => void;
  readonly done: Deferred<void>;
  timer: NodeJS.Timeout | undefined;
}

function turnOf(user: object, bytes: Uint8Array, rest: Partial<Turn>): Turn {
  const plain = { goesOn: false, isSkippable: false, isHousekeeping: false, onMessage: () => undefined };
  return { user, bytes, ...plain, ...rest, done: deferred<void>(), timer: undefined };
}

const STOPPED =
  'it has stopped in the middle of a statement, which takes more stack or memory than it has, or wants something of the ' +
  'operating system; or its disk is full';

/** Waiting longer than this for a transaction that is idle is a deadlock, most likely. */
export const HELD_LIMIT_MS = 10_000;

/**
 * PostgreSQL's one backend, which all connections share: statements run one after the other, and whoever has opened a
 * transaction has the backend to itself until the end of it.
 *
 * With two connections of one piece of code this deadlocks where a PostgreSQL server would not: an open transaction on
 * one, a statement on the other awaited inside it. Such a wait is ended by an error.
 */
export class Backend {
  readonly #pglite: Pglite;
  readonly #heldLimitMs: number;
  readonly #onBroken: (error: unknown) => void;
  readonly #waiting: Turn[] = [];
  #holder: object | undefined;
  /** Whether the holder was told of an error and owes the Sync behind it: anything else has no effect until then. */
  #isSkipping = false;
  #isWorking = false;
  #isGone = false;

  constructor(pglite: Pglite, onBroken: (error: unknown) => void, heldLimitMs = HELD_LIMIT_MS) {
    this.#pglite = pglite;
    this.#onBroken = onBroken;
    this.#heldLimitMs = heldLimitMs;
  }

  /**
   * Runs messages that belong together, up to a Sync or a simple query, with none of another user between them.
   * @param goesOn they end with neither: the user keeps the backend, and more will follow
   * @param isSkippable they do not end with a Sync: behind an error they are passed over, without an answer
   * @throws BackendHeld when another user's transaction has been idle for too long; BackendGone
   */
  run(
    user: object,
    bytes: Uint8Array,
    onMessage: (message: WireMessage) => void,
    { goesOn = false, isSkippable = false }: { readonly goesOn?: boolean; readonly isSkippable?: boolean } = {},
  ): Promise<void> {
    if (this.#isGone) return Promise.reject(new BackendGone());
    const turn = turnOf(user, bytes, { goesOn, isSkippable, onMessage });
    this.#waiting.push(turn);
    if (this.#holder !== undefined && this.#holder !== user) this.#limit(turn);
    void this.#work();
    return turn.done.promise;
  }

  /** Runs messages of the server itself before anything else that waits, as soon as no other user has the backend. */
  keepHouse(user: object, bytes: Uint8Array): void {
    if (this.#isGone) return;
    const turn = turnOf(user, bytes, { isHousekeeping: true });
    turn.done.promise.catch(() => undefined);
    this.#waiting.unshift(turn);
    void this.#work();
  }

  /** A user has gone: what it had waiting is dropped, then this is run to clear away what it leaves behind. */
  leave(user: object, farewell: Uint8Array): void {
    for (const turn of this.#waiting.filter((each) => each.user === user)) this.#drop(turn, new BackendGone());
    this.keepHouse(user, farewell);
  }

  /** Runs nothing more. Statements that wait are rejected. */
  async close(): Promise<void> {
    this.#isGone = true;
    for (const turn of [...this.#waiting]) this.#drop(turn, new BackendGone());
    await this.#pglite.close();
  }

  async #work(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    for (let turn = this.#next(); turn && !this.#isGone; turn = this.#next()) await this.#take(turn);
    this.#isWorking = false;
  }

  #next(): Turn | undefined {
    const holder = this.#holder;
    const turn = holder === undefined ? this.#waiting[0] : this.#waiting.find(({ user }) => user === holder);
    if (turn) this.#forget(turn);
    return turn;
  }

  async #take({ user, bytes, goesOn, isSkippable, onMessage, done }: Turn): Promise<void> {
    if (this.#isSkipping && isSkippable) return done.resolve();
    const splitter = new MessageSplitter();
    // Without a ReadyForQuery at its end the user goes on (Flush), and nobody else may come between.
    let status: TransactionStatus | undefined;
    let hasFailed = false;
    try {
      await this.#pglite.execProtocolRawStream(bytes, {
        onRawData: (data) => {
          for (const message of splitter.push(Buffer.from(data))) {
            if (message.type === 'Z') status = readStatus(message.bytes);
            if (message.type === 'E') hasFailed = true;
            onMessage(message);
          }
        },
      });
      // PGlite passes over what the code of PostgreSQL throws when its stack or its memory has ended.
      if (status === undefined && !goesOn) throw new Error(STOPPED);
    } catch (error) {
      done.reject(new BackendGone('the embedded database has broken down', { cause: error }));
      this.#broken(error);
      return;
    }
    this.#isSkipping = hasFailed && status === undefined;
    const isIdle = status === 'I';
    const wasHeld = this.#holder !== undefined;
    this.#holder = isIdle ? undefined : user;
    if (!isIdle && !wasHeld) for (const turn of this.#waiting) if (turn.user !== user) this.#limit(turn);
    done.resolve();
  }

  #limit(turn: Turn): void {
    if (turn.isHousekeeping) return;
    turn.timer ??= setTimeout(() => {
      turn.timer = undefined;
      // What runs now will end: only a transaction that does nothing may be waiting for us.
      if (this.#holder === undefined || this.#isWorking) this.#limit(turn);
      else this.#drop(turn, new BackendHeld());
    }, this.#heldLimitMs);
  }

  #drop(turn: Turn, reason: Error): void {
    this.#forget(turn);
    turn.done.reject(reason);
  }

  #forget(turn: Turn): void {
    clearTimeout(turn.timer);
    turn.timer = undefined;
    const at = this.#waiting.indexOf(turn);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  #broken(error: unknown): void {
    if (this.#isGone) return;
    this.#isGone = true;
    for (const turn of [...this.#waiting]) this.#drop(turn, new BackendGone());
    this.#onBroken(error);
  }
}
