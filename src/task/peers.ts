import type { WorkerWord } from './presence.ts';

/** How often a worker says that it is there, and for how long others believe it. */
export const HERE_EVERY_MS = 5_000;
const BELIEVED_MS = 12_000;

interface Peer {
  readonly seenMs: number;
  readonly isFull: boolean;
}

/**
 * The workers of a queue that listen, as they tell of themselves: so that of those who hear of a task one goes for it, and
 * not all. It need not be right: one that is not there leaves the task to the others, and of two the row takes one.
 */
export class Peers {
  readonly #self: string | undefined;
  readonly #workers = new Map<string, Peer>();

  /** @param self undefined: no worker, only who wants to know of them */
  constructor(self?: string) {
    this.#self = self;
  }

  heard(worker: string, word: WorkerWord): void {
    if (word !== 'echo') this.#workers.set(worker, { seenMs: performance.now(), isFull: word === 'full' });
  }

  /** Whether any has told of itself lately. */
  get hasAny(): boolean {
    this.#forgetSilent();
    return this.#workers.size > 0;
  }

  /** Whether it is this one that goes for the task: of those with room, or of all when none has. */
  isOurs(taskId: string): boolean {
    this.#forgetSilent();
    const isAnyFree = [...this.#workers.values()].some(({ isFull }) => !isFull);
    const ours = hash(taskId + this.#self);
    if (isAnyFree && this.#workers.get(this.#self ?? '')?.isFull) return false;
    for (const [worker, { isFull }] of this.#workers) {
      if (worker !== this.#self && isFull !== isAnyFree && hash(taskId + worker) > ours) return false;
    }
    return true;
  }

  #forgetSilent(): void {
    for (const [worker, { seenMs }] of this.#workers) {
      if (performance.now() - seenMs > BELIEVED_MS && worker !== this.#self) this.#workers.delete(worker);
    }
  }
}

/** FNV-1a of 32 bits: each worker gets its share of the tasks, and all work out the same. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
