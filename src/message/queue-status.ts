/** A queue as the broker counts it. */
export interface QueueStatus {
  /** Messages that wait; those that were delivered and are not settled are not among them. */
  readonly ready: number;
  readonly consumers: number;
}
