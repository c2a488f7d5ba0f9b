/** What a relay has done since it was made. Counters only grow. */
export interface RelayStats {
  /** Confirmed by the broker. */
  published: number;
  /** Past their deadline: deleted, not sent. */
  expired: number;
  /** Reached no queue (deleted by the policy `continue`, held by `keep`). */
  unroutable: number;
  /** Refused by the broker: backing off. */
  refused: number;
  /** Confirm never came: sent again. */
  unknown: number;
  /** Rows gone from the table: published, unroutable or expired. */
  deleted: number;
  /** Rows that a delete did not find: another relay has the partition, or somebody deleted them. */
  fencedOut: number;
  /** Future events that became due. */
  promoted: number;
  reads: number;
  /** Reads from the very start of the table. */
  fullReads: number;
  /** Notifications that came. */
  notified: number;
  /** Milliseconds spent parked: waiting to be notified. */
  parkedMs: number;
  /** Times that a connection to the database was lost. */
  reconnects: number;
}

export const emptyRelayStats = (): RelayStats => ({
  published: 0,
  expired: 0,
  unroutable: 0,
  refused: 0,
  unknown: 0,
  deleted: 0,
  fencedOut: 0,
  promoted: 0,
  reads: 0,
  fullReads: 0,
  notified: 0,
  parkedMs: 0,
  reconnects: 0,
});
