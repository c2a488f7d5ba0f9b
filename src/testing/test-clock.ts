import type { Clock } from '../lifecycle/clock.ts';

/** This machine's time, moved forward as a test asks. */
export class TestClock implements Clock {
  #movedMs = 0;

  now(): number {
    return Date.now() + this.#movedMs;
  }

  /** Waits that were begun go on by the real time. */
  monotonicMs(): number {
    return performance.now();
  }

  move(ms: number): void {
    this.#movedMs += ms;
  }
}
