import type { Logger } from '../../lifecycle/logger.ts';
import type { Users } from './authentication.ts';
import type { Connection } from './connection.ts';
import type { DirectReplies } from './direct-replies.ts';
import type { OutputBudget } from './output-budget.ts';
import type { VirtualHost } from './virtual-host.ts';

/** The broker, as its connections need it. */
export interface ConnectionHost {
  readonly vhost: VirtualHost;
  readonly replies: DirectReplies;
  readonly budget: OutputBudget;
  readonly users: Users;
  readonly heartbeatSeconds: number;
  readonly logger: Logger;
  /** Whether publishers wait, because queued messages fill the memory they may. */
  readonly isBlocked: boolean;
  /** Writes down what has changed, before a client is told; false when it cannot. */
  isKept(): boolean;
  ended(connection: Connection): void;
}
