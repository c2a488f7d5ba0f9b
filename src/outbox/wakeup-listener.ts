import type { DatabaseConnection } from '../database/connection.ts';
import type { SqlExecutor } from '../database/executor.ts';
import { Listener } from '../database/listener.ts';
import type { Logger } from '../lifecycle/logger.ts';
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

/** Listens for commits. */
export function wakeupListener(options: WakeupListenerOptions): Listener {
  const { owner, members, onRows, onLeases, ...rest } = options;
  return new Listener({
    ...rest,
    name: 'listen',
    channel: WAKE_CHANNEL,
    instead: 'the outbox is polled',
    onNotify: (payload) => {
      if (payload === WAKE_LEASES) onLeases();
      // a repeatable read commit names the owner of its snapshot, who may be gone
      else if (payload === owner || !members().has(payload)) onRows();
    },
  });
}
