import type { ConsumerStats } from '../consumer/stats.ts';
import type { Service } from '../lifecycle/service.ts';
import type { RelayStats } from '../outbox/relay-stats.ts';
import type { WorkerStats } from '../task/worker-stats.ts';

/** A consumer with its connections, as one service. */
export interface ConsumerService extends Service {
  /** Whether the broker delivers to it at the moment: for a readiness probe. */
  readonly isReady: boolean;
  readonly stats: ConsumerStats;
}

/** A relay with its connections, as one service. */
export interface RelayService extends Service {
  /** Whether it can ask the database and reach the broker at the moment: for a readiness probe. */
  readonly isReady: boolean;
  readonly stats: Readonly<RelayStats>;
}

/** A worker with its connections, as one service. */
export interface WorkerService extends Service {
  /** Whether the broker delivers to it at the moment, and processes for all of its tasks can be made: for a readiness probe. */
  readonly isReady: boolean;
  readonly stats: Readonly<WorkerStats>;
}

/** What tells of metrics and health, as a service. */
export interface MonitorService extends Service {
  /** Where it listens, such as `http://127.0.0.1:9464`; undefined before it does. */
  readonly url: string | undefined;
}

/** The group's start and stop, with what is to be seen of its main part. */
export function roleService<Part extends object, Role extends Service>(
  role: Service,
  part: Part,
  members: readonly (keyof Role & keyof Part)[],
): Role {
  for (const member of members) {
    Object.defineProperty(role, member, { enumerable: true, get: () => part[member] });
  }
  return role as Role;
}
