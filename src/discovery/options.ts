/** What the setting `discovery` says. */
export interface DiscoveryOptions {
  /** How often a service says that it is there, in ms. */
  readonly everyMs: number;
}

/** Waits of discovery, in ms. */
export const DISCOVERY_TIMES = Object.freeze({
  /** A notice that nobody has read after that is worth nothing. */
  ttlMs: 15_000,
  /** For those who ask who is there: that long after the last new answer it is taken that there is no other. */
  quietMs: 500,
  /** And that long in all. */
  answersMs: 2_000,
  /** How often a listener, which says nothing else, says something: below the least time until somebody is gone. */
  soundingMs: 1_000,
  /** Until a broker that does not answer is told of as such. */
  brokerMs: 5_000,
  /** A connection that does not close in that time is cut: nothing of it is to be settled. */
  closeMs: 1_000,
});
