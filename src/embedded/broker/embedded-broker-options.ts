import { InvalidArgumentError } from '../../errors.ts';
import { type Clock, systemClock } from '../../lifecycle/clock.ts';
import { type Logger, silentLogger } from '../../lifecycle/logger.ts';
import type { Users } from './authentication.ts';
import type { RoutedMessage } from './routed-message.ts';

export interface EmbeddedBrokerOptions {
  /** TCP port; 0 takes a free one. @default 0 */
  readonly port?: number;
  /** Loopback address to listen on; others are refused. @default '127.0.0.1' */
  readonly host?: string;
  /** Passwords by user name. @default { guest: 'guest' } */
  readonly users?: Users;
  /** Heartbeat that is offered to clients, in seconds; 0 for none. @default 60 */
  readonly heartbeatSeconds?: number;
  /** Queued messages over this many bytes make publishers wait (`connection.blocked`). @default 512 MiB */
  readonly memoryLimitBytes?: number;
  /** Unread output of all clients over this many bytes makes publishers wait. @default 64 MiB */
  readonly outputLimitBytes?: number;
  /** File that durable queues with their persistent messages are kept in; left out: nothing is kept. */
  readonly stateFile?: string;
  /** The broker has ended by itself, because its state file cannot be written. */
  readonly onBroken?: (error: unknown) => void;
  readonly logger?: Logger;
  /** Time of TTLs and expiries; after moving it call `clockMoved`. Heartbeats follow the real time. */
  readonly clock?: Clock;
  /** Called for each message that a client has published, as it is routed; must not throw. @default nothing */
  readonly onRouted?: (message: RoutedMessage) => void;
}
export type ResolvedEmbeddedBrokerOptions = Required<Omit<EmbeddedBrokerOptions, 'stateFile' | 'onRouted'>> &
  Pick<EmbeddedBrokerOptions, 'onRouted'> & {
    readonly stateFile: string | undefined;
  };

export const DEFAULT_EMBEDDED_BROKER_OPTIONS: ResolvedEmbeddedBrokerOptions = Object.freeze({
  port: 0,
  host: '127.0.0.1',
  users: Object.freeze({ guest: 'guest' }),
  heartbeatSeconds: 60,
  memoryLimitBytes: 512 * 1024 * 1024,
  outputLimitBytes: 64 * 1024 * 1024,
  stateFile: undefined,
  onBroken: () => undefined,
  logger: silentLogger,
  clock: systemClock,
});

const LOOPBACK = /^(localhost|::1|127(\.\d{1,3}){3})$/;

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for a value that cannot be */
export function resolveEmbeddedBrokerOptions(options: EmbeddedBrokerOptions): ResolvedEmbeddedBrokerOptions {
  const resolved = { ...DEFAULT_EMBEDDED_BROKER_OPTIONS, ...options };
  if (!LOOPBACK.test(resolved.host)) {
    throw new InvalidArgumentError('host', 'a loopback address such as 127.0.0.1', resolved.host);
  }
  if (!Number.isInteger(resolved.port) || resolved.port < 0 || resolved.port > 65_535) {
    throw new InvalidArgumentError('port', 'a port from 0 to 65535', String(resolved.port));
  }
  if (
    !Number.isInteger(resolved.heartbeatSeconds) ||
    resolved.heartbeatSeconds < 0 ||
    resolved.heartbeatSeconds > 65_535
  ) {
    throw new InvalidArgumentError('heartbeatSeconds', 'seconds from 0 to 65535', String(resolved.heartbeatSeconds));
  }
  if (Object.keys(resolved.users).length === 0) throw new InvalidArgumentError('users', 'at least one user', 'none');
  return resolved;
}
