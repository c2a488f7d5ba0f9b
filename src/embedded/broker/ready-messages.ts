import { Deque } from './deque.ts';
import { Heap } from './heap.ts';
import type { QueuedMessage } from './queued-message.ts';

/** Messages of one priority: those never delivered in arrival order, those given back by position before them. */
class Level {
  readonly #fresh = new Deque<QueuedMessage>();
  readonly #returned = new Heap<QueuedMessage>((entry) => entry.position);

  push(entry: QueuedMessage): void {
    this.#fresh.push(entry);
  }
  putBack(entry: QueuedMessage): void {
    this.#returned.push(entry);
  }
  peek(): QueuedMessage | undefined {
    const fresh = this.#fresh.peek();
    const returned = this.#returned.peek();
    return returned && (!fresh || returned.position < fresh.position) ? returned : fresh;
  }
  shift(): QueuedMessage | undefined {
    const fresh = this.#fresh.peek();
    const returned = this.#returned.peek();
    return returned && (!fresh || returned.position < fresh.position) ? this.#returned.shift() : this.#fresh.shift();
  }
  *[Symbol.iterator](): Iterator<QueuedMessage> {
    yield* this.#returned;
    yield* this.#fresh;
  }
}

/** The messages of a queue that wait for a consumer: highest priority first, then in order of position. */
export class ReadyMessages {
  /** By priority, lowest first. */
  readonly #levels: readonly Level[];
  #length = 0;
  #bytes = 0;

  constructor(maxPriority: number) {
    this.#levels = Array.from({ length: maxPriority + 1 }, () => new Level());
  }

  get length(): number {
    return this.#length;
  }
  /** Bytes of bodies. */
  get bytes(): number {
    return this.#bytes;
  }

  push(entry: QueuedMessage): void {
    this.#levelOf(entry).push(entry);
    this.#count(entry, 1);
  }

  /** To its old place, or as near to it as what has left since allows. */
  putBack(entry: QueuedMessage): void {
    this.#levelOf(entry).putBack(entry);
    this.#count(entry, 1);
  }

  peek(): QueuedMessage | undefined {
    return this.#head()?.peek();
  }

  shift(): QueuedMessage | undefined {
    const entry = this.#head()?.shift();
    if (entry) this.#count(entry, -1);
    return entry;
  }

  /** Takes the head of any priority that has reached its time. Messages behind a head wait for it, as in RabbitMQ. */
  shiftExpired(now: number): QueuedMessage | undefined {
    for (const level of this.#levels) {
      const head = level.peek();
      if (head?.expiresAt === undefined || head.expiresAt > now) continue;
      level.shift();
      this.#count(head, -1);
      return head;
    }
    return undefined;
  }

  /** When the next head expires, clock time in ms. */
  nextExpiry(): number | undefined {
    let next: number | undefined;
    for (const level of this.#levels) {
      const at = level.peek()?.expiresAt;
      if (at !== undefined && (next === undefined || at < next)) next = at;
    }
    return next;
  }

  *[Symbol.iterator](): Iterator<QueuedMessage> {
    for (const level of this.#levels) yield* level;
  }

  #head(): Level | undefined {
    if (this.#length === 0) return undefined;
    for (let priority = this.#levels.length - 1; priority > 0; priority--) {
      const level = this.#levels[priority];
      if (level?.peek()) return level;
    }
    return this.#levels[0];
  }

  #levelOf(entry: QueuedMessage): Level {
    const highest = this.#levels.length - 1;
    return this.#levels[Math.min(entry.message.priority, highest)] as Level;
  }

  #count(entry: QueuedMessage, by: 1 | -1): void {
    this.#length += by;
    this.#bytes += by * entry.message.bodyBytes;
  }
}
