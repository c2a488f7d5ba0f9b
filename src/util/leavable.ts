import { type Deferred, deferred } from './deferred.ts';
import { type Linked, LinkedSet } from './linked-set.ts';

/** Somebody's own promise for that of all. */
export interface Leavable<T> {
  /** Settles as that of all does, unless it was left before. */
  readonly promise: Promise<T>;
  /** Takes it off: nothing of it stays. For `finally`. */
  leave(): void;
}

interface Waiter extends Deferred<unknown>, Linked<Waiter> {}

const waiting = new WeakMap<Promise<unknown>, LinkedSet<Waiter>>();

/**
 * A way to wait for a promise that others wait for as well, and that may outlive them: that of a start during an outage.
 * `await`, `then` and `Promise.race` each leave a reaction at it, with the call that waits, until it settles, also when
 * that call has ended long ago. Here it has one for all of them. A later failure of the promise is swallowed.
 */
export function leavable<T>(promise: Promise<T>): Leavable<T> {
  let waiters = waiting.get(promise);
  if (!waiters) {
    waiters = new LinkedSet();
    waiting.set(promise, waiters);
    settle(promise, waiters);
  }
  const { promise: own, resolve, reject } = deferred<unknown>();
  const waiter: Waiter = { promise: own, resolve, reject, before: undefined, after: undefined };
  waiters.add(waiter);
  return { promise: own as Promise<T>, leave: () => void waiters.delete(waiter) };
}

function settle(promise: Promise<unknown>, waiters: LinkedSet<Waiter>): void {
  const tell = (how: (waiter: Waiter) => void) => {
    waiting.delete(promise);
    for (const waiter of waiters) how(waiter);
    waiters.clear();
  };
  promise.then(
    (value) => tell((waiter) => waiter.resolve(value)),
    (error: unknown) => tell((waiter) => waiter.reject(error)),
  );
}
