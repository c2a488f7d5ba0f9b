import { CrashingMessageError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { InboxKey } from '../message/inbox.ts';
import { NO_START_MARK, type StartMark, type StartMarks } from '../message/start-marks.ts';
import { linkedSignal } from '../util/linked-signal.ts';
import { sleep } from '../util/sleep.ts';
import { persist } from './forward.ts';
import { identityOf } from './identity.ts';
import type { InFlight } from './in-flight.ts';

/** What holds the other messages meanwhile. */
export interface IsolationHost {
  /** Begins nothing more; resolves when nothing runs. */
  hold(): Promise<void>;
  unhold(): void;
  /** Begins this one though all else is held; resolves when its run has ended. */
  runAlone(message: InFlight): Promise<void>;
  /** Not suspected any more: it runs among the others. */
  admit(message: InFlight): void;
  /** Dead letters; resolves when it is settled, with whether it is there, or was taken from us before. */
  giveUp(message: InFlight, error: CrashingMessageError): Promise<boolean>;
  /** It was lost, or given back, before its turn. */
  drop(message: InFlight): void;
}

export interface IsolationOptions {
  readonly marks: StartMarks;
  /** Deaths of the process, the first one among others included, that make a message a dead letter; ≥ 2. */
  readonly crashes: number;
  readonly logger: Logger;
}

/**
 * A message that the process died of alone runs again only in a process that has lived for so long: whatever else ends
 * processes in quick succession (somebody's kill -9, a machine without memory) does not meet the same message twice.
 */
const QUARANTINE_MS = 10_000;

/** A stop does not wait longer for the database. */
const GIVE_BACK_MS = 1_000;

/**
 * Finds the message that ends the process. What comes back may have been in the process when it died, so it runs alone,
 * with a mark written before: when the process dies again, the mark says which one it was. Those with the fewest marks
 * come first, so that a message that kills takes no other's turn away, and a kill from outside seldom meets the same one
 * twice. What a living process gave back is no suspect.
 *
 *   came back ──▶ waiting ──── given back alive ───▶ among the others
 *                    │ its turn, nothing else runs
 *                    ├── died in `crashes - 1` runs alone ──▶ dead letters
 *                    ▼
 *              mark ▶ runs alone ▶ mark taken away
 */
export class Isolation {
  readonly #options: IsolationOptions;
  readonly #host: IsolationHost;
  /** In the order they came; undefined: its mark was not read yet. */
  readonly #waiting = new Map<InFlight, StartMark | undefined>();
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;
  #alone: InFlight | undefined;
  readonly #since = performance.now();
  #timer: NodeJS.Timeout | undefined;
  readonly #explained = new WeakSet<InFlight>();

  constructor(options: IsolationOptions, host: IsolationHost) {
    this.#options = options;
    this.#host = host;
  }

  add(message: InFlight): void {
    this.#waiting.set(message, undefined);
    this.#wake();
  }

  /** Takes up none of those that wait any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#stopped.abort();
  }

  /**
   * Says that these go back to the queue from a process that lives: whoever gets them next need not suspect them. In
   * vain when the database does not answer soon; then they run alone once more.
   */
  async explain(messages: readonly InFlight[]): Promise<void> {
    const { marks, logger } = this.#options;
    const fresh = messages.filter((message) => !this.#explained.has(message));
    if (fresh.length === 0) return;
    for (const message of fresh) this.#explained.add(message);
    const others = fresh.filter((message) => message !== this.#alone).map(({ delivery }) => identityOf(delivery));
    const begun = fresh.filter((message) => message === this.#alone).map(({ delivery }) => identityOf(delivery));
    const writing = Promise.all([
      others.length > 0 ? marks.giveBack(others, false) : undefined,
      begun.length > 0 ? marks.giveBack(begun, true) : undefined,
    ]).catch((error: unknown) => {
      logger.debug({ error }, 'messages that are given back could not be marked so; they will run alone once');
    });
    const end = new AbortController();
    await Promise.race([writing, sleep(GIVE_BACK_MS, end.signal)]);
    end.abort();
  }

  #wake(): void {
    if (this.#running || this.#stopped.signal.aborted) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if ([...this.#waiting.values()].some((mark) => this.#isDue(mark))) this.#wake();
      else if (this.#waiting.size > 0) this.#wakeAfterQuarantine();
    });
  }

  #wakeAfterQuarantine(): void {
    clearTimeout(this.#timer);
    if (this.#stopped.signal.aborted) return;
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, QUARANTINE_MS - (performance.now() - this.#since)));
  }

  /** What is unread is to be read, what has had its deaths given up; between them, quarantine. */
  #isDue(mark: StartMark | undefined): boolean {
    const isSuspectOnly = mark === undefined || mark.starts === 0 || mark.starts >= this.#options.crashes - 1;
    return isSuspectOnly || performance.now() - this.#since >= QUARANTINE_MS;
  }

  async #run(): Promise<void> {
    let isHeld = false;
    try {
      for (;;) {
        await this.#readMarks();
        const next = this.#leastSuspected();
        if (!next) return;
        if (isHeld) await this.#take(next);
        // Others may have come back meanwhile: look again.
        else await this.#host.hold();
        isHeld = true;
      }
    } finally {
      if (isHeld) this.#host.unhold();
    }
  }

  async #readMarks(): Promise<void> {
    const { marks, logger } = this.#options;
    const unread = [...this.#waiting].filter(([, mark]) => mark === undefined).map(([message]) => message);
    if (unread.length === 0) return;
    let read: readonly StartMark[] = [];
    const work = async () => {
      read = await marks.read(unread.map(({ delivery }) => identityOf(delivery)));
    };
    await persist(work, { what: 'reading start marks', logger, signal: this.#stopped.signal });
    if (this.#stopped.signal.aborted) return;
    for (const [index, message] of unread.entries()) {
      const mark = read[index] ?? NO_START_MARK;
      const isSuspect = mark.starts > 0 || !mark.isReturned;
      if (isSuspect) this.#waiting.set(message, mark);
      else if (this.#waiting.delete(message)) this.#host.admit(message);
    }
  }

  #leastSuspected(): InFlight | undefined {
    let least: readonly [InFlight, number] | undefined;
    if (this.#stopped.signal.aborted) return undefined;
    for (const [message, mark] of this.#waiting) {
      if (mark && this.#isDue(mark) && (!least || mark.starts < least[1])) least = [message, mark.starts];
    }
    return least?.[0];
  }

  async #take(message: InFlight): Promise<void> {
    const { marks, crashes, logger } = this.#options;
    const { starts } = this.#waiting.get(message) ?? NO_START_MARK;
    this.#waiting.delete(message);
    if (message.state !== 'waiting') return this.#host.drop(message);
    const key = identityOf(message.delivery);
    if (starts >= crashes - 1) {
      // It does not run: nothing is held until the dead letters take it.
      void this.#giveUp(message, key, starts + 1);
      return;
    }
    const { exchange, routingKey } = message;
    if (starts > 0) {
      const fields = { exchange, routingKey, messageId: key.messageId, deaths: starts + 1 };
      logger.warn(fields, 'the process died while it handled this message alone; it is handled alone once more');
    }
    const { signal, unlink } = linkedSignal(message.abandoned, this.#stopped.signal);
    this.#alone = message;
    await persist(() => marks.begin(key), { logger, signal, what: 'writing a start mark' }).finally(unlink);
    if (signal.aborted) {
      this.#alone = undefined;
      await marks.giveBack([key], true).catch(() => undefined);
      if (message.state !== 'waiting') this.#host.drop(message);
      return;
    }
    await this.#host.runAlone(message);
    this.#alone = undefined;
    await this.#forget(key);
  }

  /** Its deaths are forgotten only when it has not come back to the queue. */
  async #giveUp(message: InFlight, key: InboxKey, deaths: number): Promise<void> {
    if (await this.#host.giveUp(message, new CrashingMessageError(deaths))) await this.#forget(key);
  }

  async #forget(key: InboxKey): Promise<void> {
    const { marks, logger } = this.#options;
    await persist(() => marks.end(key), { logger, what: 'deleting a start mark', signal: this.#stopped.signal });
  }
}
