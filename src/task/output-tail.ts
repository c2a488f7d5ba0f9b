/** The end of what a process prints; older bytes are dropped, so that a flood takes no memory. */
export class OutputTail {
  readonly #most: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #dropped = 0;

  constructor(mostBytes: number) {
    this.#most = mostBytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes - (this.#chunks[0]?.length ?? 0) >= this.#most) {
      const gone = this.#chunks.shift()?.length ?? 0;
      this.#bytes -= gone;
      this.#dropped += gone;
    }
  }

  /** Whether the text, of plain ASCII, is in what is kept. */
  includes(text: string): boolean {
    return Buffer.concat(this.#chunks).includes(text);
  }

  /** Takes what there is and begins anew; undefined when nothing was printed. */
  take(): string | undefined {
    const all = Buffer.concat(this.#chunks);
    const kept = all.subarray(Math.max(0, all.length - this.#most));
    const dropped = this.#dropped + all.length - kept.length;
    this.#chunks = [];
    this.#bytes = 0;
    this.#dropped = 0;
    if (all.length === 0) return undefined;
    // PostgreSQL's text holds no NUL.
    const text = kept.toString('utf8').replaceAll('\0', '\uFFFD');
    return dropped > 0 ? `… ${dropped} bytes before\n${text}` : text;
  }
}
