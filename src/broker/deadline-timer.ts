import { MAX_TIMER_MS } from '../util/sleep.ts';

/** One timer for many deadlines: it knows only the earliest of them, and whoever it wakes says which is next. */
export class DeadlineTimer {
  readonly #onDue: (nowMs: number) => number;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Number.POSITIVE_INFINITY;

  /** @param onDue handles what is due at `nowMs` (monotonic) and returns the next deadline, or Infinity */
  constructor(onDue: (nowMs: number) => number) {
    this.#onDue = onDue;
  }

  /** Makes sure that the timer fires at `deadlineMs` at the latest. Costs nothing when it does anyhow. */
  cover(deadlineMs: number): void {
    if (deadlineMs >= this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = deadlineMs;
    const leftMs = Math.max(1, Math.ceil(deadlineMs - performance.now()));
    // Whom it wakes too early says the same deadline again.
    this.#timer = setTimeout(this.#fire, Math.min(leftMs, MAX_TIMER_MS));
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  readonly #fire = () => {
    this.#dueMs = Number.POSITIVE_INFINITY;
    const next = this.#onDue(performance.now());
    if (Number.isFinite(next)) this.cover(next);
  };
}
