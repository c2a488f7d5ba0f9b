/** How often a worker says that it is there, and for how long others believe it. */
export const HERE_EVERY_MS = 5_000;
const BELIEVED_MS = 12_000;

/**
 * The workers of a queue that listen, as they tell of themselves: so that of those who hear of a task one goes for it, and
 * not all. It need not be right: one that is not there leaves the task to its message, and of two the row takes one.
 */
export class Peers {
  readonly #self: string;
  readonly #seenMs = new Map<string, number>();

  constructor(self: string) {
    this.#self = self;
  }

  seen(worker: string): void {
    if (worker !== this.#self) this.#seenMs.set(worker, performance.now());
  }

  /** Whether of all of them it is this one that goes for the task. */
  isOurs(taskId: string): boolean {
    const ours = hash(taskId + this.#self);
    for (const [worker, seenMs] of this.#seenMs) {
      if (performance.now() - seenMs > BELIEVED_MS) this.#seenMs.delete(worker);
      else if (hash(taskId + worker) > ours) return false;
    }
    return true;
  }
}

/** FNV-1a of 32 bits: each worker gets its share of the tasks, and all work out the same. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
