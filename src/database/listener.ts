import { randomUUID } from 'node:crypto';
import type { Logger } from '../lifecycle/logger.ts';
import { backoffMs } from '../util/backoff.ts';
import { Bell } from '../util/bell.ts';
import { deferred } from '../util/deferred.ts';
import { linkedSignal } from '../util/linked-signal.ts';
import { sleep } from '../util/sleep.ts';
import { unlessAborted } from '../util/unless-aborted.ts';
import type { DatabaseConnection } from './connection.ts';
import type { SqlExecutor } from './executor.ts';
import { DatabaseLink } from './link.ts';

export interface ListenerOptions {
  /** For logs. */
  readonly name: string;
  /** Opens the connection that listens and does nothing else. */
  readonly connect: () => Promise<DatabaseConnection>;
  /** Another connection: what one notifies, the other must hear. */
  readonly db: SqlExecutor;
  readonly channel: string;
  /** Called before each proof: both connections hear each other on a server that is the wrong one for both. */
  readonly beforeProof?: (() => Promise<void>) | undefined;
  readonly logger: Logger;
  /** What is done while nothing is heard, for the log: `the outbox is polled`. */
  readonly instead: string;
  /** Must not throw. */
  readonly onNotify: (payload: string) => void;
  /** Told when it changes, and once at the start. */
  readonly onHears: (hears: boolean) => void;
}

/**
 * How often it is tried whether notifications arrive: a pooler, a dead peer, or the primary of before a fail-over takes
 * LISTEN and stays silent.
 */
const PROBE_EVERY_MS = 10_000;
const PROBE_TIMEOUT_MS = 2000;
/** On the channel itself, as relays of before have notified what only they are to hear. */
const OLDER_PROBE = 'probe:';
/** Between connections on which nothing was heard. */
const AGAIN = Object.freeze({ initialMs: 100, maxMs: PROBE_EVERY_MS });

/** Listens on a channel, on a connection of its own that is made anew when it was lost, and proves to itself that it hears. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #link: DatabaseLink;
  /** Of this connection alone: with many listeners each would have to pass over the proofs of all. */
  readonly #probeChannel = `svc_comm_probe_${randomUUID()}`;
  readonly #lost = new Bell();
  #heard = deferred();
  #hears: boolean | undefined;

  constructor(options: ListenerOptions) {
    const { name, connect, channel, logger } = options;
    this.#options = options;
    this.#link = new DatabaseLink({
      name,
      connect,
      logger,
      onConnect: async (connection) => {
        await connection.listen(channel, (payload) => this.#take(payload));
        await connection.listen(this.#probeChannel, () => this.#heard.resolve());
      },
      onLost: () => {
        this.#say(false);
        this.#lost.ring();
      },
    });
  }

  /** Whether notifications are known to arrive. */
  get hears(): boolean {
    return this.#hears === true;
  }

  /** Makes one attempt to connect. @throws DatabaseUnavailableError, DatabaseAccessRefusedError */
  async open(signal: AbortSignal): Promise<void> {
    await this.#link.open(signal, false);
  }

  /** Connects and proves, again and again until the signal aborts; then it closes. */
  async run(signal: AbortSignal): Promise<void> {
    let silent = 0;
    while (!signal.aborted) {
      this.#lost.clear();
      // It may be lost with the notification.
      const hears = (await this.#prove(signal)) && this.#link.isConnected;
      if (signal.aborted) break;
      this.#say(hears);
      if (hears) {
        silent = 0;
        await this.#lost.wait(signal, PROBE_EVERY_MS);
      } else {
        await this.#link.reset();
        await sleep(backoffMs(silent++, AGAIN), signal);
      }
    }
    // The end of our own connection is no news.
    this.#hears = false;
    await this.#link.close();
  }

  /** @returns whether a notification arrived */
  async #prove(signal: AbortSignal): Promise<boolean> {
    const { db, beforeProof, logger } = this.#options;
    this.#heard = deferred();
    const over = new AbortController();
    const { signal: until, unlink } = linkedSignal(signal, over.signal);
    try {
      await this.#link.open(signal);
      const tell = async () => {
        await beforeProof?.();
        await db.query("SELECT pg_notify($1, '')", [this.#probeChannel]);
      };
      // While the database is down it waits for that: whoever ends us need not.
      await unlessAborted(tell(), signal);
      const late = sleep(PROBE_TIMEOUT_MS, until).then(() => false);
      return await Promise.race([this.#heard.promise.then(() => true), late]);
    } catch (error) {
      if (!signal.aborted) logger.debug({ error }, 'could not try whether notifications arrive');
      return false;
    } finally {
      over.abort();
      unlink();
    }
  }

  #take(payload: string): void {
    if (!payload.startsWith(OLDER_PROBE)) this.#options.onNotify(payload);
  }

  #say(hears: boolean): void {
    if (hears === this.#hears) return;
    const { name, logger, instead, onHears } = this.#options;
    const fields = { connection: name };
    if (!hears) logger.warn(fields, `notifications do not arrive (a pooler, or a lost connection): ${instead}`);
    else if (this.#hears === false) logger.info(fields, 'notifications arrive again');
    this.#hears = hears;
    onHears(hears);
  }
}
