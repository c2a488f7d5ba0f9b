export const CONNECTION_STATES = ['idle', 'connecting', 'open', 'waiting', 'closing'] as const;
export type ConnectionState = (typeof CONNECTION_STATES)[number];

/**
 * A connection to one of several nodes.
 *
 *            start()              tuned
 *   idle ───────────▶ connecting ───────▶ open
 *    ▲                 │      ▲            │ lost
 *    │    round failed │      │ delay over │
 *    │                 ▼      │            │
 *    │                waiting ┴◀───────────┘
 *    │ quiet
 *   closing ◀── from connecting, waiting, open: stop(), or `afterFailure` says closed
 *
 * connecting: each node is tried once, from the one after the last that failed. waiting: full-jitter back-off.
 * open: has an epoch number; channels and deliveries belong to one epoch.
 */
const MOVES: Readonly<Record<ConnectionState, readonly ConnectionState[]>> = Object.freeze({
  idle: ['connecting'],
  connecting: ['open', 'waiting', 'closing'],
  open: ['waiting', 'closing'],
  waiting: ['connecting', 'closing'],
  closing: ['idle'],
});

/** The state after the move. A move that the picture lacks is a defect of ours, so it throws. */
export function move(from: ConnectionState, to: ConnectionState): ConnectionState {
  if (!MOVES[from].includes(to)) throw new Error(`a connection cannot go from ${from} to ${to}`);
  return to;
}

export interface FailureFacts {
  /** Whether this connection was open at any time since its start. */
  readonly hasBeenOpen: boolean;
  /** Wrong credentials or virtual host. */
  readonly isRefused: boolean;
  /** Whether start waits for a broker that is down. */
  readonly wait: boolean;
}

/**
 * The one place that chooses between giving up and trying again. Once it has been open a connection never gives up:
 * a refusal then is most likely a credential that is being rotated.
 */
export function afterFailure({ hasBeenOpen, isRefused, wait }: FailureFacts): 'closed' | 'again' {
  if (hasBeenOpen) return 'again';
  return isRefused || !wait ? 'closed' : 'again';
}
