/** A worker that was full for no longer has not told anybody of it. */
const SETTLED_MS = 50;

/**
 * What a worker tells of itself. `echo` is for its own ears: whether notifications reach it at all shows when it hears
 * one (behind PgBouncer in transaction mode LISTEN succeeds, and nothing comes).
 */
export type WorkerWord = 'echo' | 'here' | 'full';

/** Tells others, as long as this worker hears what is told, that it does, and whether it has room for more. */
export class Presence {
  readonly #tell: (word: WorkerWord) => Promise<void>;
  /** Whether it heard itself since it last told something. */
  #hears = false;
  #isFull = false;
  #toldFull = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param tell may fail: the next one soon follows */
  constructor(tell: (word: WorkerWord) => Promise<void>) {
    this.#tell = tell;
  }

  async announce(): Promise<void> {
    const word = this.#hears ? (this.#isFull ? 'full' : 'here') : 'echo';
    this.#hears = false;
    this.#toldFull = this.#isFull;
    await this.#tell(word);
  }

  /** What it told has come back to it. */
  heard(word: WorkerWord): void {
    this.#hears = true;
    if (word === 'echo') this.#announceNow();
  }

  /** Told when it stays so. */
  changed(isFull: boolean): void {
    this.#isFull = isFull;
    if (isFull === this.#toldFull) this.close();
    else this.#timer ??= setTimeout(() => this.#announceNow(), SETTLED_MS);
  }

  /** Nothing more is told by itself. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #announceNow(): void {
    this.close();
    void this.announce().catch(() => undefined);
  }
}
