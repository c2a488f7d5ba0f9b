import { type Linked, LinkedSet } from '../util/linked-set.ts';

interface Waiter extends Linked<Waiter> {
  wake(): void;
  fail(error: unknown): void;
}

/** Those who wait for room in flight, first come first served, and those who wait for any change. */
export class RoomQueue {
  readonly #room: () => number;
  readonly #forRoom = new LinkedSet<Waiter>();
  readonly #forChange = new LinkedSet<Waiter>();
  #isScheduled = false;

  constructor(room: () => number) {
    this.#room = room;
  }

  /** Something left the flight, or the broker is back. Whoever is woken looks again: it may be too late already. */
  changed(): void {
    if (this.#isScheduled || this.#forRoom.size + this.#forChange.size === 0) return;
    this.#isScheduled = true;
    // Once for all confirms of one packet; each of thousands of waiters woken for each confirm would be quadratic.
    queueMicrotask(this.#wake);
  }

  /** Resolves when there may be room. Rejects with the signal's reason. */
  wait(signal: AbortSignal): Promise<void> {
    return enter(this.#forRoom, signal);
  }

  /** Resolves at the next change. Rejects with the signal's reason. */
  change(signal: AbortSignal): Promise<void> {
    return enter(this.#forChange, signal);
  }

  /** Wakes everybody: there will be no room any more. */
  close(): void {
    for (const waiter of [...this.#forRoom, ...this.#forChange]) waiter.wake();
  }

  readonly #wake = () => {
    this.#isScheduled = false;
    for (const waiter of this.#forChange) waiter.wake();
    let room = this.#room();
    for (let waiter = this.#forRoom.first; waiter && room-- > 0; waiter = this.#forRoom.first) waiter.wake();
  };
}

function enter(waiters: LinkedSet<Waiter>, signal: AbortSignal): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const leave = () => {
      waiters.delete(waiter);
      signal.removeEventListener('abort', onAbort);
    };
    const onAbort = () => waiter.fail(signal.reason);
    const waiter: Waiter = {
      before: undefined,
      after: undefined,
      wake: () => {
        leave();
        resolve();
      },
      fail: (error) => {
        leave();
        reject(error);
      },
    };
    waiters.add(waiter);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
