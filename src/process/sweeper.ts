import type { SqlExecutor } from '../database/executor.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { repeating } from '../lifecycle/repeating.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
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
        await sweepLost(db, schema, logger);
        await deleteOldInstances(db, schema, retentionMs);
      });
    } catch (error) {
      if (!end.aborted) logger.warn({ error }, 'could not look after process instances; trying again');
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
