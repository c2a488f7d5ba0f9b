import type { DatabaseConnection } from '../database/connection.ts';
import type { SqlExecutor } from '../database/executor.ts';
import { DatabaseLink } from '../database/link.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Bell } from '../util/bell.ts';
import { deferred } from '../util/deferred.ts';
import { linkedSignal } from '../util/linked-signal.ts';
import { sleep } from '../util/sleep.ts';
import { WAKE_CHANNEL, WAKE_LEASES } from './sql/lease.ts';

export interface WakeupListenerOptions {
  /** Opens the connection that listens and does nothing else. */
  readonly connect: () => Promise<DatabaseConnection>;
  /** Another connection: what one notifies, the other must hear. */
  readonly db: SqlExecutor;
  readonly owner: string;
  readonly logger: Logger;
  /** Owners that live: what is meant for one of them is not for us. */
  readonly members: () => ReadonlySet<string>;
  readonly onRows: () => void;
  /** Another relay gave partitions back. */
  readonly onLeases: () => void;
  readonly onHears: (hears: boolean) => void;
}

/** How often it is tried whether notifications arrive: a pooler or a dead peer takes LISTEN and stays silent. */
const PROBE_EVERY_MS = 10_000;
const PROBE_TIMEOUT_MS = 2000;

/** Listens for commits, on a connection of its own, and proves to itself that it hears. */
export class WakeupListener {
  readonly #options: WakeupListenerOptions;
  readonly #link: DatabaseLink;
  readonly #probe: string;
  readonly #lost = new Bell();
  #heard = deferred();
  #hears: boolean | undefined;

  constructor(options: WakeupListenerOptions) {
    this.#options = options;
    this.#probe = `probe:${options.owner}`;
    this.#link = new DatabaseLink({
      name: 'listen',
      connect: options.connect,
      logger: options.logger,
      onConnect: (connection) => connection.listen(WAKE_CHANNEL, (payload) => this.#take(payload)),
      onLost: () => {
        this.#say(false);
        this.#lost.ring();
      },
    });
  }

  /** Connects and proves, again and again until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#lost.clear();
      const hears = await this.#prove(signal);
      if (signal.aborted) break;
      this.#say(hears);
      if (!hears) await this.#link.reset();
      await this.#lost.wait(signal, PROBE_EVERY_MS);
    }
    // The end of our own connection is no news.
    this.#hears = false;
    await this.#link.close();
  }

  /** One proof; call before `run` to know from the start. @returns whether a notification arrived */
  async #prove(signal: AbortSignal): Promise<boolean> {
    this.#heard = deferred();
    const over = new AbortController();
    const { signal: until, unlink } = linkedSignal(signal, over.signal);
    try {
      await this.#link.open(signal);
      await this.#options.db.query('SELECT pg_notify($1, $2)', [WAKE_CHANNEL, this.#probe]);
      const late = sleep(PROBE_TIMEOUT_MS, until).then(() => false);
      return await Promise.race([this.#heard.promise.then(() => true), late]);
    } catch (error) {
      this.#options.logger.debug({ error }, 'could not try whether notifications arrive');
      return false;
    } finally {
      over.abort();
      unlink();
    }
  }

  #take(payload: string): void {
    const { owner, members, onRows, onLeases } = this.#options;
    if (payload === this.#probe) this.#heard.resolve();
    else if (payload === WAKE_LEASES) onLeases();
    else if (payload.startsWith('probe:')) return;
    // a repeatable read commit names the owner of its snapshot, who may be gone
    else if (payload === owner || !members().has(payload)) onRows();
  }

  #say(hears: boolean): void {
    if (hears === this.#hears) return;
    const { logger, onHears } = this.#options;
    if (!hears) logger.warn({}, 'notifications do not arrive (a pooler, or a lost connection): the outbox is polled');
    else if (this.#hears === false) logger.info({}, 'notifications arrive again');
    this.#hears = hears;
    onHears(hears);
  }
}
