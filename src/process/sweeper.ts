import type { SqlExecutor } from '../database/executor.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { sleep } from '../util/sleep.ts';
import { deleteOldInstances, endLostInstances } from './sql/sweep.ts';

export interface SweeperParts {
  /** Gives a connection for one look. */
  readonly withDatabase: (work: (db: SqlExecutor) => Promise<void>) => Promise<void>;
  readonly schema: string;
  readonly everyMs: number;
  /** How long instances that have ended are kept. */
  readonly retentionMs: number;
  readonly logger: Logger;
}

/** Ends the instances of servers that died, and forgets old ones; at its start and then every so often. */
export class InstanceSweeper implements Service {
  readonly name = 'process instances';
  readonly #parts: SweeperParts;
  readonly #lifecycle: Lifecycle;
  #ended = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(parts: SweeperParts) {
    this.#parts = parts;
    this.#lifecycle = new Lifecycle(this.name, {
      start: async () => {
        this.#ended = new AbortController();
        this.#loop = this.#run(this.#ended.signal);
      },
      stop: async () => {
        this.#ended.abort();
        await this.#loop;
      },
    });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }
  start(): Promise<void> {
    return this.#lifecycle.start();
  }
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { withDatabase, schema, everyMs, retentionMs, logger } = this.#parts;
    while (!signal.aborted) {
      try {
        await withDatabase(async (db) => {
          await sweepLost(db, schema, logger);
          await deleteOldInstances(db, schema, retentionMs);
        });
      } catch (error) {
        if (!signal.aborted) logger.warn({ error }, 'could not look after process instances; trying again');
      }
      await sleep(everyMs, signal);
    }
  }
}

/** @param id only this one */
export async function sweepLost(db: SqlExecutor, schema: string, logger: Logger, id?: string): Promise<void> {
  for (const lost of await endLostInstances(db, schema, id)) {
    logger.warn(
      { instanceId: lost.id, process: lost.process, state: lost.state },
      'the server that ran a process instance is lost',
    );
  }
}
