import { backoffMs } from '../util/backoff.ts';
import type { TaskProcess } from './task-process.ts';

export interface ProcessShelfParts {
  /** How many are to wait. */
  readonly spare: number;
  /** Starts one. What it throws it has told of. */
  readonly fork: () => TaskProcess;
}

/** What dies or fails so long after the one before begins the count anew. */
const CALM_MS = 60_000;

/** The processes that wait with one list of environment variables. */
export class ProcessShelf {
  /** The last one could not be made ready: those that are there already say nothing of the next. */
  isFailing = false;
  readonly #parts: ProcessShelfParts;
  /** Those that are ready first. None of them is over. */
  readonly #spares: TaskProcess[] = [];
  /** Times that they died, or could not be made ready, one soon after the other. */
  #deaths = 0;
  #diedMs = -CALM_MS;
  /** Until then none are made: they would die again. */
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(parts: ProcessShelfParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#spares.length;
  }

  /** @returns undefined when none waits */
  take(): TaskProcess | undefined {
    const readyAt = this.#spares.findIndex((one) => one.isReady);
    return this.#spares.splice(Math.max(readyAt, 0), 1)[0];
  }

  /** It is the next that is taken. */
  give(one: TaskProcess): void {
    this.#spares.unshift(one);
  }

  /** @returns whether it was there */
  remove(one: TaskProcess): boolean {
    const at = this.#spares.indexOf(one);
    if (at >= 0) this.#spares.splice(at, 1);
    return at >= 0;
  }

  refill(): void {
    if (this.#timer || this.#isClosed) return;
    // Only a new one shows that they can be made again.
    const wanted = Math.max(this.#parts.spare, this.isFailing ? this.size + 1 : 0);
    try {
      while (this.size < wanted) this.#spares.push(this.#parts.fork());
    } catch {
      // By then it is to be filled later.
    }
  }

  /** What killed it may kill the next one: a database that restarts, what its files do when they have been loaded. */
  refillLater(): void {
    if (this.#timer || this.#isClosed) return;
    const now = performance.now();
    this.#deaths = now - this.#diedMs < CALM_MS ? this.#deaths + 1 : 0;
    this.#diedMs = now;
    // Nobody else waits for the same thing: the whole delay, no part of it by chance.
    const delayMs = backoffMs(this.#deaths, undefined, () => 0);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.refill();
    }, delayMs).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}
