/** Which open transactions of this process hold connections of the pool: for the text of a warning. */
export class TransactionHolders {
  readonly #open = new Set<{ readonly name: string; readonly since: number }>();

  /** @returns the function that takes it out again */
  enter(name: string): () => void {
    const holder = { name, since: performance.now() };
    this.#open.add(holder);
    return () => this.#open.delete(holder);
  }

  get count(): number {
    return this.#open.size;
  }

  /** Longest first, a name once with its number: `UserConsumers.onUser (3, up to 2.1 s)`. */
  describe(): string[] {
    const now = performance.now();
    const byName = new Map<string, { count: number; longestMs: number }>();
    for (const { name, since } of this.#open) {
      const entry = byName.get(name) ?? { count: 0, longestMs: 0 };
      byName.set(name, { count: entry.count + 1, longestMs: Math.max(entry.longestMs, now - since) });
    }
    return [...byName]
      .sort(([, a], [, b]) => b.longestMs - a.longestMs)
      .map(([name, { count, longestMs }]) => `${name} (${count}, up to ${(longestMs / 1000).toFixed(1)} s)`);
  }
}
