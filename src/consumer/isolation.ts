import { CrashingMessageError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { NO_START_MARK, type StartMark, type StartMarks } from '../message/start-marks.ts';
import { persist } from './forward.ts';
import { identityOf } from './identity.ts';
import type { InFlight } from './in-flight.ts';
import { StartLog } from './start-log.ts';

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
  readonly #starts: StartLog;
  #running: Promise<void> | undefined;
  readonly #since = performance.now();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: IsolationOptions, host: IsolationHost) {
    this.#options = options;
    this.#host = host;
    const { marks, logger } = options;
    this.#starts = new StartLog({ marks, logger, stopped: this.#stopped.signal });
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
   * Says that these go back to the queue from a process that lives: whoever gets them next need not suspect them. When
   * the database does not take it, only this process knows; elsewhere they run alone once more.
   */
  explain(messages: readonly InFlight[]): Promise<void> {
    return this.#starts.explain(messages);
  }

  /** After `stop`, when no handler runs any more: lets nobody take the end of this process for a death. */
  settled(): Promise<void> {
    return this.#starts.settled();
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
      const isReturned = this.#starts.wasGivenBack(message) || mark.isReturned;
      const isSuspect = mark.starts > 0 || !isReturned;
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
    const { crashes, logger } = this.#options;
    const { starts } = this.#waiting.get(message) ?? NO_START_MARK;
    this.#waiting.delete(message);
    if (message.state !== 'waiting') return this.#host.drop(message);
    if (starts >= crashes - 1) {
      // It does not run: nothing is held until the dead letters take it.
      void this.#giveUp(message, starts + 1);
      return;
    }
    const { exchange, routingKey } = message;
    if (starts > 0) {
      const { messageId } = identityOf(message.delivery);
      const fields = { exchange, routingKey, messageId, deaths: starts + 1 };
      logger.warn(fields, 'the process died while it handled this message alone; it is handled alone once more');
    }
    if (!(await this.#starts.begin(message))) {
      if (message.state !== 'waiting') this.#host.drop(message);
      return;
    }
    await this.#host.runAlone(message);
    await this.#starts.end();
  }

  /** Its deaths are forgotten only when it has not come back to the queue. */
  async #giveUp(message: InFlight, deaths: number): Promise<void> {
    if (await this.#host.giveUp(message, new CrashingMessageError(deaths))) await this.#starts.forget(message);
  }
}
