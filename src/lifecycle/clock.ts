/** Time as the SDK sees it. Injected, so that tests can move it. */
export interface Clock {
  /** Milliseconds since the epoch; may jump. For deadlines that travel. */
  now(): number;
  /** Milliseconds from an arbitrary start; never jumps. For leases, timeouts and measurements. */
  monotonicMs(): number;
}

export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
});
