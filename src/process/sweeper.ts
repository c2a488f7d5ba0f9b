import type { SqlExecutor } from '../database/executor.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { repeating } from '../lifecycle/repeating.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { deleteOldInstances, endLostInstances, MOST_ENDED, MOST_FORGOTTEN } from './sql/sweep.ts';

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

  constructor(parts: SweeperParts) {
    this.#parts = parts;
    const { everyMs } = parts;
    this.#lifecycle = new Lifecycle(this.name, repeating({ work: (end) => this.#look(end), everyMs: () => everyMs }));
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

  async #look(end: AbortSignal): Promise<void> {
    const { withDatabase, schema, retentionMs, logger } = this.#parts;
    try {
      await withDatabase(async (db) => {
        let ended: number;
        do ended = await sweepLost(db, schema, logger);
        while (ended === MOST_ENDED && !end.aborted);
        let gone: number;
        do gone = await deleteOldInstances(db, schema, retentionMs);
        while (gone === MOST_FORGOTTEN && !end.aborted);
      });
    } catch (error) {
      if (!end.aborted) logger.warn({ error }, 'could not look after process instances; trying again');
    }
  }
}

/**
 * @param id only this one
 * @returns how many were ended: at most `MOST_ENDED`
 */
export async function sweepLost(db: SqlExecutor, schema: string, logger: Logger, id?: string): Promise<number> {
  const ended = await endLostInstances(db, schema, id);
  for (const lost of ended) {
    logger.warn(
      { instanceId: lost.id, process: lost.process, state: lost.state },
      'the server that ran a process instance is lost',
    );
  }
  return ended.length;
}
