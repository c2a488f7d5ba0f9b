interface Node<T> {
  readonly words: Map<string, Node<T>>;
  readonly values: Set<T>;
}
/** The empty key has no words, not an empty one. */
const wordsOf = (key: string): readonly string[] => (key === '' ? [] : key.split('.'));

const node = <T>(): Node<T> => ({ words: new Map(), values: new Set() });

/** Topic patterns (`*` one word, `#` any number of words) and what is stored under them. */
export class TopicTrie<T> {
  readonly #root: Node<T> = node();

  add(pattern: string, value: T): void {
    let at = this.#root;
    for (const word of wordsOf(pattern)) {
      let next = at.words.get(word);
      if (!next) {
        next = node();
        at.words.set(word, next);
      }
      at = next;
    }
    at.values.add(value);
  }

  remove(pattern: string, value: T): void {
    const path: [Node<T>, string][] = [];
    let at = this.#root;
    for (const word of wordsOf(pattern)) {
      const next = at.words.get(word);
      if (!next) return;
      path.push([at, word]);
      at = next;
    }
    at.values.delete(value);
    for (const [parent, word] of path.reverse()) {
      const child = parent.words.get(word);
      if (!child || child.values.size > 0 || child.words.size > 0) return;
      parent.words.delete(word);
    }
  }

  /** Visits each value whose pattern takes the key; a value under two fitting paths may be visited twice. */
  match(key: string, visit: (value: T) => void): void {
    const words = wordsOf(key);
    // A key of many words under many '#' would otherwise be walked an exponential number of ways.
    const seen = new Map<Node<T>, Set<number>>();
    const walk = (at: Node<T>, index: number): void => {
      const indexes = seen.get(at);
      if (indexes?.has(index)) return;
      if (indexes) indexes.add(index);
      else seen.set(at, new Set([index]));
      const hash = at.words.get('#');
      if (hash) for (let skip = index; skip <= words.length; skip++) walk(hash, skip);
      const word = words[index];
      if (word === undefined) {
        for (const value of at.values) visit(value);
        return;
      }
      const star = at.words.get('*');
      if (star) walk(star, index + 1);
      const literal = word === '*' || word === '#' ? undefined : at.words.get(word);
      if (literal) walk(literal, index + 1);
    };
    walk(this.#root, 0);
  }
}
