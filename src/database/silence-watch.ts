import type { Socket } from 'node:net';
import { Client } from 'pg';
import type { Logger } from '../lifecycle/logger.ts';
import { isError } from '../util/thrown.ts';
import { errorText, isConnectionError } from './database-error.ts';

export interface SilenceWatchOptions {
  readonly url: () => string;
  /** A connection that has waited for so long, without a byte, is looked into. Milliseconds, ≥ 1. */
  readonly silenceMs: number;
  /** For the connection that asks. */
  readonly connectTimeoutMs: number;
  /** As others see it in `pg_stat_activity`. */
  readonly applicationName: string;
  readonly logger: Logger;
}

/** What a client of pg has of itself; its types do not tell of all of it. */
export interface WatchedClient {
  readonly processID: number | null;
  /** Whether nothing is under way. */
  readonly readyForQuery: boolean;
  readonly connection: { readonly stream: Socket };
}

interface Wait {
  bytes: number;
  since: number;
  /** Looks in a row that found nothing at work for it. */
  looks: number;
}

/** `unknown`: a pooler stands between us, and its process ids are not PostgreSQL's. */
type Backend = 'at work' | 'not at work' | 'unknown';

const LOOKS_A_SILENCE = 4;
/** An answer may be on its way just then. */
const LOOKS = 2;

/**
 * Ends connections through which no answer will come: after a fail-over or behind a dead network nothing is closed, and
 * TCP finds out after a quarter of an hour. A long statement waits as quietly, so PostgreSQL is asked, over another
 * connection, whether it does anything for this one.
 *
 *   waits ──silenceMs without a byte──▶ looked into ──at work, or not known──▶ waits
 *     ▲ a byte came                        │ twice: nobody is at work for it, or nobody answers
 *     └────────────────────────────────────┤
 *                                          └▶ ended: its statement is rejected, as by any lost connection
 */
export class SilenceWatch {
  readonly #options: SilenceWatchOptions;
  readonly #waits = new Map<WatchedClient, Wait>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  constructor(options: SilenceWatchOptions) {
    this.#options = options;
  }

  add(client: WatchedClient): void {
    this.#waits.set(client, { bytes: 0, since: performance.now(), looks: 0 });
    this.#timer ??= setInterval(() => void this.#tick(), this.#options.silenceMs / LOOKS_A_SILENCE).unref();
  }

  remove(client: WatchedClient): void {
    this.#waits.delete(client);
    if (this.#waits.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #tick(): Promise<void> {
    const now = performance.now();
    const silent = [...this.#waits].filter(([client, wait]) => {
      const { bytesRead } = client.connection.stream;
      if (client.readyForQuery || bytesRead !== wait.bytes)
        Object.assign(wait, { bytes: bytesRead, since: now, looks: 0 });
      return now - wait.since >= this.#options.silenceMs;
    });
    if (silent.length === 0 || this.#isLooking) return;
    this.#isLooking = true;
    try {
      const backends = await this.#look(silent.map(([client]) => client));
      for (const [client, wait] of silent) this.#judge(client, wait, backends?.get(client));
    } catch {
      // Of the logger's: the next tick looks again.
    } finally {
      this.#isLooking = false;
    }
  }

  /** @param backend undefined: PostgreSQL did not answer */
  #judge(client: WatchedClient, wait: Wait, backend: Backend | undefined): void {
    const { stream } = client.connection;
    if (client.readyForQuery || stream.bytesRead !== wait.bytes || !this.#waits.has(client)) return;
    if (backend === 'at work' || backend === 'unknown') {
      wait.since = performance.now();
      wait.looks = 0;
      return;
    }
    wait.looks += 1;
    if (wait.looks < LOOKS) return;
    const why = backend ? 'and PostgreSQL does nothing for it' : 'and none on a new connection either';
    const message = `no answer for ${Math.round((performance.now() - wait.since) / 1000)} s, ${why}`;
    stream.destroy(Object.assign(new Error(message), { code: 'ETIMEDOUT' }));
    this.#options.logger.warn({ backend: client.processID }, `a database connection is given up: ${message}`);
  }

  /** What PostgreSQL does for each. undefined: it does not answer. */
  async #look(clients: readonly WatchedClient[]): Promise<Map<WatchedClient, Backend> | undefined> {
    let client: Client;
    try {
      client = this.#client();
    } catch (error) {
      return this.#unknown(clients, error);
    }
    try {
      await client.connect();
      const { rows } = await client.query<{ own: number; working: number[] }>(AT_WORK, [
        clients.map(({ processID }) => processID),
      ]);
      const [row] = rows;
      const isPooled = row?.own !== (client as unknown as WatchedClient).processID;
      const backendOf = ({ processID }: WatchedClient): Backend =>
        isPooled ? 'unknown' : row.working.includes(processID ?? 0) ? 'at work' : 'not at work';
      return new Map(clients.map((one) => [one, backendOf(one)]));
    } catch (error) {
      if (isConnectionError(error) || isTimeout(error)) return undefined;
      return this.#unknown(clients, error);
    } finally {
      client.end().catch(() => undefined);
    }
  }

  /** @throws when a certificate cannot be read, or a server of ours has stopped: that is none of PostgreSQL's answers */
  #client(): Client {
    const { url, connectTimeoutMs, applicationName } = this.#options;
    const client = new Client({
      connectionString: url(),
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: connectTimeoutMs,
      application_name: `${applicationName} silence`,
    });
    client.on('error', () => undefined);
    return client;
  }

  #unknown(clients: readonly WatchedClient[], error: unknown): Map<WatchedClient, Backend> {
    const said = { error: errorText(error) };
    this.#options.logger.debug(said, 'silent database connections could not be looked into');
    return new Map(clients.map((one) => [one, 'unknown']));
  }
}

/**
 * One that has sent its answer is idle, and one that cannot get rid of it waits to write to its client. In the middle of a
 * statement it waits to read as long as its client likes: for the next rows of a COPY, or for being asked for those of a
 * cursor, as the streams of knex and pg have it. A request of which only the beginning came looks the same: TCP, which
 * has its end to deliver, finds out.
 */
const AT_WORK = `SELECT pg_backend_pid() AS own, ARRAY(
  SELECT pid FROM pg_stat_activity
   WHERE pid = ANY($1::int[]) AND state NOT LIKE 'idle%'
     AND (wait_event_type IS DISTINCT FROM 'Client' OR wait_event = 'ClientRead')
) AS working`;

/** pg's own, which has no code. */
const isTimeout = (error: unknown): boolean => isError(error) && error.message === 'Query read timeout';
