/**
 * What all connections together hold of output that their peers have not read. Over the limit, publishers wait: what
 * they send could only add to it.
 */
export class OutputBudget {
  readonly #limitBytes: number;
  readonly #held = new Map<object, number>();
  readonly #onRoom: () => void;
  #total = 0;
  #isOver = false;

  /** @param onRoom called when there is room again, once less than half of the limit is held */
  constructor(limitBytes: number, onRoom: () => void) {
    this.#limitBytes = limitBytes;
    this.#onRoom = onRoom;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  set(holder: object, bytes: number): void {
    const before = this.#held.get(holder) ?? 0;
    if (bytes === before) return;
    if (bytes === 0) this.#held.delete(holder);
    else this.#held.set(holder, bytes);
    this.#total += bytes - before;
    if (this.#total > this.#limitBytes) this.#isOver = true;
    else if (this.#isOver && this.#total <= this.#limitBytes / 2) {
      this.#isOver = false;
      this.#onRoom();
    }
  }
}
