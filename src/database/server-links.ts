import { DatabaseUnavailableError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { DatabaseConnection } from './connection.ts';
import { DatabaseLink, type LinkOptions } from './link.ts';
import { serverStart } from './sql/server-start.ts';
import { sessionIsReadOnly } from './sql/session-is-read-only.ts';

export interface ServerLinksOptions {
  readonly logger: Logger;
  /** One of them is gone. */
  readonly onLost?: () => void;
  /** They lead to another server than before, or the same was started anew: it may not have what that one said. */
  readonly onMoved?: () => void;
  /** Whether the others are made anew with one that was lost, without anybody asking for them. @default false */
  readonly areLostTogether?: boolean;
}

/** Found so many times in a row, another server is where the address leads now; before, it may be one of two in turn. */
const MOVED_AFTER = 3;

/** A server on which the other links are not. */
interface Stray {
  readonly server: string;
  /** Found in a row. */
  readonly times: number;
}

/**
 * Links that all lead to the same server, one that takes writes: after a fail-over the old primary may be there still, and
 * what is read or written on it is not known to the new one. So a server that refuses writes is not taken, and a link that
 * comes to another server than the others tries again, with back-off: when it is there each time, the others follow.
 */
export class ServerLinks {
  readonly #options: ServerLinksOptions;
  readonly #links: DatabaseLink[] = [];
  /** Ended by ourselves, since another was lost. */
  readonly #ending = new Set<DatabaseLink>();
  /** Where those that are connected are, or were last: by the start of the server. */
  #server: string | undefined;
  readonly #strays = new Map<DatabaseLink, Stray>();
  #isClosing = false;

  constructor(options: ServerLinksOptions) {
    this.#options = options;
  }

  get isConnected(): boolean {
    return this.#links.every((link) => link.isConnected);
  }

  add({ name, connect, onConnect }: Pick<LinkOptions, 'name' | 'connect' | 'onConnect'>): DatabaseLink {
    const { logger, onLost, areLostTogether } = this.#options;
    const link: DatabaseLink = new DatabaseLink({
      name,
      connect,
      logger,
      onConnect: async (connection) => {
        await assertTakesWrites(connection);
        await onConnect?.(connection);
        this.#arrive(link, await serverStart(connection));
      },
      onLost: () => {
        if (this.#isClosing) return;
        onLost?.();
        if (areLostTogether && !this.#ending.has(link)) this.#connectAnew(link, this.#connectedBeside(link));
      },
    });
    this.#links.push(link);
    return link;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#links.map((link) => link.close()));
  }

  /** @throws DatabaseUnavailableError when the others are on another server */
  #arrive(link: DatabaseLink, server: string): void {
    const elsewhere = server === this.#server ? [] : this.#connectedBeside(link);
    const before = this.#strays.get(link);
    const times = before?.server === server ? before.times + 1 : 1;
    if (elsewhere.length > 0 && times < MOVED_AFTER) {
      this.#strays.set(link, { server, times });
      throw new DatabaseUnavailableError('', 'the address leads to another server than our other connections');
    }
    this.#strays.delete(link);
    const hasMoved = this.#server !== undefined && server !== this.#server;
    this.#server = server;
    if (elsewhere.length > 0) this.#connectAnew(link, elsewhere);
    if (hasMoved) this.#options.onMoved?.();
  }

  #connectedBeside(link: DatabaseLink): readonly DatabaseLink[] {
    return this.#links.filter((other) => other !== link && other.isConnected);
  }

  /** Nobody might ask for them, and who waits for all to be there would do so for ever. */
  #connectAnew(link: DatabaseLink, others: readonly DatabaseLink[]): void {
    const ended = Promise.all(others.map((other) => this.#end(other)));
    // It rejects when the links are closed.
    ended.then(() => Promise.all([link, ...others].map((one) => one.connected()))).catch(() => undefined);
  }

  async #end(link: DatabaseLink): Promise<void> {
    this.#ending.add(link);
    await link.reset();
    this.#ending.delete(link);
  }
}

async function assertTakesWrites(connection: DatabaseConnection): Promise<void> {
  if (!(await sessionIsReadOnly(connection))) return;
  throw new DatabaseUnavailableError('', 'transaction_read_only is on', { outage: 'read-only' });
}
