import { v7 as uuidv7 } from 'uuid';
import type { SqlExecutor } from '../database/executor.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { sleep } from '../util/sleep.ts';
import { renewInstances } from './sql/sweep.ts';

export interface LeaseParts {
  readonly db: SqlExecutor;
  readonly schema: string;
  readonly leaseMs: number;
  readonly logger: Logger;
}

/** Why a run here is to end. */
export type EndReason = 'cancel' | 'stop' | 'lost';

/** An instance that this server runs. */
export interface RunningInstance {
  readonly id: string;
  /** Aborts with an EndReason. */
  readonly until: AbortSignal;
  /** Whether its lease holds: until then what could not be written may be tried again. */
  isOurs(): boolean;
  /** For how long it holds still, in milliseconds; 0 when it does not. */
  leftMs(): number;
  /** Its row is there; who waited for that for long asks for its lease anew. */
  written(): Promise<void>;
  /** A statement that renewed it has just been begun. */
  renewed(sinceMs: number): void;
}

interface Held {
  readonly id: string;
  readonly abort: AbortController;
  isWritten: boolean;
  renewedMs: number;
}

const RENEW_SHARE = 1 / 3;
/** A lease is over here before it is in the database. */
const MARGIN_SHARE = 1 / 6;

/** The leases of the instances that this server runs: renewed while they run, and given up in time. */
export class InstanceLeases {
  /** This server, in the rows of what it runs. */
  readonly owner = uuidv7();
  readonly leaseMs: number;
  readonly #parts: LeaseParts;
  /** Two of one id while requests for the same instance cross: one of them will find that the other has made it. */
  readonly #held = new Set<Held>();
  readonly #ended = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(parts: LeaseParts) {
    this.#parts = parts;
    this.leaseMs = parts.leaseMs;
  }

  get size(): number {
    return this.#held.size;
  }

  start(): void {
    this.#loop = this.#renewAll();
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#loop;
  }

  /** Runs `work` with the lease of an instance that is about to be created. */
  async hold<T>(id: string, work: (running: RunningInstance) => Promise<T>): Promise<T> {
    const held: Held = { id, abort: new AbortController(), isWritten: false, renewedMs: performance.now() };
    this.#held.add(held);
    try {
      return await work({
        id,
        until: held.abort.signal,
        isOurs: () => !this.#isOver(held),
        leftMs: () => Math.max(0, this.#leftMs(held)),
        written: async () => {
          held.isWritten = true;
          // Nobody waits for a database that is down.
          if (performance.now() - held.renewedMs > this.leaseMs * RENEW_SHARE)
            await Promise.race([this.#tryRenew([held]), sleep(this.leaseMs * RENEW_SHARE)]);
        },
        renewed: (sinceMs) => {
          held.renewedMs = sinceMs;
        },
      });
    } finally {
      this.#held.delete(held);
    }
  }

  /** Ends one that runs here, or all. */
  end(reason: EndReason, id?: string): void {
    for (const held of this.#held) if (id === undefined || held.id === id) held.abort.abort(reason);
  }

  #isOver(held: Held): boolean {
    return this.#leftMs(held) < 0;
  }

  #leftMs({ renewedMs }: Held): number {
    return this.leaseMs * (1 - MARGIN_SHARE) - (performance.now() - renewedMs);
  }

  async #renewAll(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await sleep(this.leaseMs * RENEW_SHARE, signal);
      if (signal.aborted || this.#held.size === 0) continue;
      await this.#tryRenew([...this.#held]);
    }
  }

  async #tryRenew(asked: readonly Held[]): Promise<void> {
    await this.#renew(asked).catch((error: unknown) => {
      if (this.#ended.signal.aborted) return;
      this.#parts.logger.warn({ error }, 'could not renew the leases of process instances; trying again');
    });
  }

  async #renew(asked: readonly Held[]): Promise<void> {
    const { db, schema, leaseMs, logger } = this.#parts;
    const before = performance.now();
    const wasWritten = new Set(asked.filter(({ isWritten }) => isWritten));
    const kept = await renewInstances(db, schema, { owner: this.owner, leaseMs, ids: asked.map(({ id }) => id) });
    for (const held of asked) {
      const { id } = held;
      const isCancelling = kept.get(id);
      // One that is not there yet is about to be written, and one that is not New any more is about to leave.
      if (isCancelling === undefined) {
        if (!wasWritten.has(held) || !this.#isOver(held)) continue;
        logger.warn({ instanceId: id }, 'a process instance that runs here is not ours any more; ending it');
        held.abort.abort('lost' satisfies EndReason);
        continue;
      }
      held.renewedMs = before;
      if (isCancelling) held.abort.abort('cancel' satisfies EndReason);
    }
  }
}
