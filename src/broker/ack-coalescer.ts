/**
 * Gathers the acks of one channel. `basic.ack` costs the broker 20 to 30 µs, so what was finished in one turn of the
 * event loop goes out as one `multiple` ack up to the lowest unfinished delivery, and a single ack for each finished
 * one above it, lest one slow handler hold back the rest.
 */
export class AckCoalescer {
  readonly #send: (tag: number, isMultiple: boolean) => void;
  readonly #onSent: () => void;
  /** Delivered and neither finished nor rejected. Tags come in rising order, so the first is the lowest. */
  readonly #unfinished = new Set<number>();
  #finished: number[] = [];
  #isScheduled = false;

  /**
   * @param send must not throw
   * @param onSent after the last of a turn
   */
  constructor(send: (tag: number, isMultiple: boolean) => void, onSent: () => void = () => undefined) {
    this.#send = send;
    this.#onSent = onSent;
  }

  /** How many deliveries are neither finished nor rejected. */
  get unfinished(): number {
    return this.#unfinished.size;
  }

  delivered(tag: number): void {
    this.#unfinished.add(tag);
  }

  /** @returns false when it was settled before */
  finished(tag: number): boolean {
    if (!this.#unfinished.delete(tag)) return false;
    this.#finished.push(tag);
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(this.#flushSoon);
    }
    return true;
  }

  /** The caller sends the reject itself. @returns false when it was settled before */
  rejected(tag: number): boolean {
    return this.#unfinished.delete(tag);
  }

  flush(): void {
    const finished = this.#finished;
    if (finished.length === 0) return;
    this.#finished = [];
    const [lowestUnfinished = Number.POSITIVE_INFINITY] = this.#unfinished;
    // The tag of a multiple ack must itself be unsettled, or the channel closes with 406: so it is the highest of
    // those finished since the last flush, not the number below the lowest unfinished one.
    let upTo = 0;
    let below = 0;
    for (const tag of finished) {
      if (tag > lowestUnfinished) continue;
      below += 1;
      if (tag > upTo) upTo = tag;
    }
    if (below > 0) this.#send(upTo, below > 1);
    if (below < finished.length) for (const tag of finished) if (tag > lowestUnfinished) this.#send(tag, false);
    this.#onSent();
  }

  readonly #flushSoon = () => {
    this.#isScheduled = false;
    this.flush();
  };
}
