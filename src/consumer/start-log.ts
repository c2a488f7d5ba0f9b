import { setImmediate } from 'node:timers/promises';
import type { Logger } from '../lifecycle/logger.ts';
import type { InboxKey } from '../message/inbox.ts';
import type { StartMarks } from '../message/start-marks.ts';
import { linkedSignal } from '../util/linked-signal.ts';
import { sleep } from '../util/sleep.ts';
import { persist } from './forward.ts';
import { identityOf } from './identity.ts';
import type { InFlight } from './in-flight.ts';

export interface StartLogOptions {
  readonly marks: StartMarks;
  readonly logger: Logger;
  /** Nothing begins any more. */
  readonly stopped: AbortSignal;
}

/** A stop does not wait longer for the database. */
const GIVE_BACK_MS = 1_000;

/** Messages that went back without a word of it in the database: as many as large prefetches hold, the newest. */
const MAX_UNTOLD = 10_000;

interface Alone {
  readonly message: InFlight;
  /** Whether it was given back meanwhile, its start taken back with it. */
  isReturned: Promise<boolean>;
}

/**
 * Writes down which message is being handled alone, and takes it back when that did not end the process: a start that
 * stays written is a death for whoever looks next.
 */
export class StartLog {
  readonly #options: StartLogOptions;
  #alone: Alone | undefined;
  readonly #explained = new WeakSet<InFlight>();
  readonly #writing = new Set<Promise<unknown>>();
  readonly #untold = new Set<string>();
  /** Nobody waits for that any more. */
  readonly #over = new AbortController();

  constructor(options: StartLogOptions) {
    this.#options = options;
  }

  /** @returns false, nothing of it being written, when the message was lost meanwhile, or we stop */
  async begin(message: InFlight): Promise<boolean> {
    const isBegun = await this.#written(this.#begin(message));
    if (isBegun) this.#alone = { message, isReturned: Promise.resolve(false) };
    return isBegun;
  }

  /** The run that has begun has ended, however. */
  async end(): Promise<void> {
    const alone = this.#alone;
    this.#alone = undefined;
    if (alone) await this.#written(this.#end(alone));
  }

  /** Of a message that does not come again. */
  forget(message: InFlight): Promise<void> {
    return this.#written(this.#forget(identityOf(message.delivery)));
  }

  /** When the database does not take it, it is known to this process alone. */
  async explain(messages: readonly InFlight[]): Promise<void> {
    const fresh = messages.filter((message) => !this.#explained.has(message));
    if (fresh.length === 0) return;
    for (const message of fresh) this.#explained.add(message);
    const alone = this.#alone;
    const writing = [
      this.#giveBack(
        fresh.filter((message) => message !== alone?.message),
        false,
      ),
    ];
    if (alone && fresh.includes(alone.message)) {
      alone.isReturned = this.#giveBack([alone.message], true);
      writing.push(alone.isReturned);
    }
    await soon(Promise.all(writing));
  }

  /** Whether it went back from here, and the database does not know; told once, as by a mark. */
  wasGivenBack({ delivery }: InFlight): boolean {
    return this.#untold.delete(textOf(identityOf(delivery)));
  }

  /** At a stop, when no handler runs any more: resolves when no start stays written, or the database does not answer soon. */
  async settled(): Promise<void> {
    // Whoever waits for the end of a run has a turn to learn of it.
    await setImmediate();
    await soon(Promise.all(this.#writing));
    this.#over.abort();
  }

  async #begin({ delivery, abandoned }: InFlight): Promise<boolean> {
    const { marks, logger, stopped } = this.#options;
    const key = identityOf(delivery);
    const { signal, unlink } = linkedSignal(abandoned, stopped);
    await persist(() => marks.begin(key), { logger, signal, what: 'writing a start mark' }).finally(unlink);
    if (!signal.aborted) return true;
    await marks.giveBack([key], true).catch(() => undefined);
    return false;
  }

  /** What was given back meanwhile has its start taken back, and whoever gets it next is to know that. */
  async #end({ message, isReturned }: Alone): Promise<void> {
    if (!(await isReturned)) await this.#forget(identityOf(message.delivery));
  }

  /** Also while we stop. */
  async #forget(key: InboxKey): Promise<void> {
    const { marks, logger } = this.#options;
    await persist(() => marks.end(key), { logger, what: 'deleting a start mark', signal: this.#over.signal });
  }

  async #giveBack(messages: readonly InFlight[], isBegun: boolean): Promise<boolean> {
    const { marks, logger } = this.#options;
    if (messages.length === 0) return false;
    const keys = messages.map(({ delivery }) => identityOf(delivery));
    try {
      await marks.giveBack(keys, isBegun);
      return true;
    } catch (error) {
      logger.debug(
        { error },
        'messages that are given back could not be marked so; elsewhere they will run alone once',
      );
      if (!isBegun) this.#remember(keys);
      return false;
    }
  }

  #remember(keys: readonly InboxKey[]): void {
    for (const key of keys) this.#untold.add(textOf(key));
    for (const oldest of this.#untold) {
      if (this.#untold.size <= MAX_UNTOLD) break;
      this.#untold.delete(oldest);
    }
  }

  #written<T>(work: Promise<T>): Promise<T> {
    this.#writing.add(work);
    return work.finally(() => this.#writing.delete(work));
  }
}

const textOf = ({ source, messageId }: InboxKey): string => JSON.stringify([source, messageId]);

async function soon(work: Promise<unknown>): Promise<void> {
  const end = new AbortController();
  await Promise.race([work, sleep(GIVE_BACK_MS, end.signal)]);
  end.abort();
}
