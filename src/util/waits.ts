/** Whether a start waits for a server that is down: as long as it takes, not at all, or so many milliseconds. */
export type Waits = boolean | number;

/** Until when, on the monotonic clock, a start that begins now tries again. */
export function waitsUntilMs(waits: Waits): number {
  if (typeof waits === 'number') return performance.now() + waits;
  return waits ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
}
