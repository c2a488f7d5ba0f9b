/** A worker that was full for no longer has not told anybody of it. */
const SETTLED_MS = 50;

/** What a worker tells the others of itself: that it listens, and whether it has room for more. */
export class Presence {
  readonly #tell: (isFull: boolean) => Promise<void>;
  #isFull = false;
  #toldFull = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param tell may fail: the next one soon follows */
  constructor(tell: (isFull: boolean) => Promise<void>) {
    this.#tell = tell;
  }

  async announce(): Promise<void> {
    this.#toldFull = this.#isFull;
    await this.#tell(this.#isFull);
  }

  /** Told when it stays so. */
  changed(isFull: boolean): void {
    this.#isFull = isFull;
    if (isFull === this.#toldFull) this.close();
    else
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        void this.announce().catch(() => undefined);
      }, SETTLED_MS);
  }

  /** Nothing more is told by itself. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
