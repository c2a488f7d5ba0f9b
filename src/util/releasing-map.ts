interface Box<V> {
  value: V | undefined;
}

/**
 * A `Map` whose values come and go by the thousand: what is taken out is let go at once, also by the tables that V8 keeps
 * (see `LinkedSet`). Those keep its keys, so keys should be small. A value is not undefined.
 */
export class ReleasingMap<K, V extends object> {
  readonly #boxes = new Map<K, Box<V>>();

  get size(): number {
    return this.#boxes.size;
  }

  has(key: K): boolean {
    return this.#boxes.has(key);
  }

  get(key: K): V | undefined {
    return this.#boxes.get(key)?.value;
  }

  set(key: K, value: V): void {
    const box = this.#boxes.get(key);
    if (box) box.value = value;
    else this.#boxes.set(key, { value });
  }

  delete(key: K): boolean {
    const box = this.#boxes.get(key);
    if (!box) return false;
    box.value = undefined;
    return this.#boxes.delete(key);
  }

  clear(): void {
    for (const box of this.#boxes.values()) box.value = undefined;
    this.#boxes.clear();
  }

  keys(): IterableIterator<K> {
    return this.#boxes.keys();
  }

  /** In the order of insertion; entries may come and go meanwhile, as with a `Map`. */
  *values(): IterableIterator<V> {
    for (const { value } of this.#boxes.values()) if (value) yield value;
  }

  *entries(): IterableIterator<[K, V]> {
    for (const [key, { value }] of this.#boxes) if (value) yield [key, value];
  }
}
