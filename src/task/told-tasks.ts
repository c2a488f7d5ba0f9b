/** So long the worker that a task falls to is given to begin it, before others do. */
const PATIENCE_MS = 100;
/** Their message brings those that are not kept, or were not begun for so long. */
const MOST_KEPT = 1_000;
const KEPT_MS = 5_000;

export interface ToldTasksOptions {
  /** Whether of all workers that listen it is this one that goes for the task. */
  readonly isOurs: (id: string) => boolean;
  /** There are some that may be taken now, and were not before. */
  readonly onReady: () => void;
}

/**
 * Tasks that whoever submitted them told of, and nobody has begun as far as it is heard: this worker's share in the order
 * they came, and what falls to others when they leave it, because they are full, or gone.
 */
export class ToldTasks {
  readonly #options: ToldTasksOptions;
  /** When it was told of, on the monotonic clock. */
  readonly #sinceMs = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ToldTasksOptions) {
    this.#options = options;
  }

  add(ids: readonly string[]): void {
    const nowMs = performance.now();
    for (const id of ids) this.#sinceMs.set(id, nowMs);
    for (const oldest of this.#sinceMs.keys()) {
      if (this.#sinceMs.size <= MOST_KEPT) break;
      this.#sinceMs.delete(oldest);
    }
    this.#options.onReady();
    this.#timer ??= setTimeout(() => this.#look(), PATIENCE_MS);
  }

  /** It has begun, or has ended, or comes with its message. */
  remove(id: string): void {
    this.#sinceMs.delete(id);
  }

  clear(): void {
    this.#sinceMs.clear();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** @returns the next one to go for, of this worker's share first: of the others all would take the same; undefined: none */
  take(): string | undefined {
    const nowMs = performance.now();
    let next: string | undefined;
    for (const [id, sinceMs] of this.#sinceMs) {
      const waitedMs = nowMs - sinceMs;
      if (waitedMs > KEPT_MS) this.#sinceMs.delete(id);
      else if (this.#options.isOurs(id)) {
        next = id;
        break;
      } else if (waitedMs >= PATIENCE_MS) next ??= id;
    }
    if (next !== undefined) this.#sinceMs.delete(next);
    return next;
  }

  #look(): void {
    this.#timer = undefined;
    if (this.#sinceMs.size === 0) return;
    this.#options.onReady();
    this.#timer ??= setTimeout(() => this.#look(), PATIENCE_MS);
  }
}
