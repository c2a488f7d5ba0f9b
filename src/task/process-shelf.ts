import { backoffMs } from '../util/backoff.ts';
import type { TaskProcess } from './task-process.ts';

export interface ProcessShelfParts {
  /** How many are to wait. */
  readonly spare: number;
  /** Starts one. What it throws it has told of. */
  readonly fork: () => TaskProcess;
  /** Whether one could not be made ready a moment ago: the next is made when the one before it is ready. @default never */
  readonly isCareful?: () => boolean;
}

/** What dies so long after the one before begins the count anew. */
const CALM_MS = 60_000;

/** The processes that wait with one list of environment variables. */
export class ProcessShelf {
  /** The last one could not be made ready: those that are there already say nothing of the next. */
  isFailing = false;
  readonly #parts: ProcessShelfParts;
  /** Those that are ready first. None of them is over. */
  readonly #spares: TaskProcess[] = [];
  /** Those that could not be made ready since one was. */
  #failures = 0;
  /** Those that died while they waited, one soon after the other: they had been ready. */
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

  /** Those that could have a task at once. */
  get ready(): number {
    return this.#spares.filter(({ isReady }) => isReady).length;
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
    // Only a new one shows that they can be made again, and one is enough for that.
    const isTried = this.#spares.some(({ isReady }) => !isReady);
    const { spare, isCareful } = this.#parts;
    const next = this.size + (isTried ? 0 : 1);
    const wanted = this.isFailing ? next : isCareful?.() ? Math.min(next, spare) : spare;
    try {
      while (this.size < wanted) this.#spares.push(this.#parts.fork());
    } catch {
      // By then it is to be filled later.
    }
  }

  /** One could not be made ready: the next is tried later, and ever later, until one is. */
  failed(): void {
    this.isFailing = true;
    if (!this.#timer) this.#refillIn(backoff(this.#failures++));
  }

  /** What came over others may have come over it. */
  suspected(): void {
    this.isFailing = true;
    this.#refillIn(backoff(0));
  }

  madeReady(): void {
    if (this.isFailing) this.#forget();
    this.isFailing = false;
    this.#failures = 0;
  }

  /** What killed it may kill the next one: a database that restarts, what its files do when they have been loaded. */
  died(): void {
    if (this.#timer) return;
    const now = performance.now();
    this.#deaths = now - this.#diedMs < CALM_MS ? this.#deaths + 1 : 0;
    this.#diedMs = now;
    this.#refillIn(backoff(this.#deaths));
  }

  /** A process has gone whose room the next one may need. */
  roomCame(): void {
    if (!this.isFailing) return;
    this.#forget();
    this.refill();
  }

  close(): void {
    this.#isClosed = true;
    this.#forget();
  }

  #refillIn(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer ??= setTimeout(() => {
      this.#forget();
      this.refill();
    }, delayMs).unref();
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** Nobody else waits for the same thing: the whole delay, no part of it by chance. */
const backoff = (attempt: number): number => backoffMs(attempt, undefined, () => 0);
