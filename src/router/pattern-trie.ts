import { type TopicPattern, topicWords } from '../util/topic-pattern.ts';

interface Node<T> {
  literals: Map<string, Node<T>> | undefined;
  star: Node<T> | undefined;
  hash: Node<T> | undefined;
  end: { readonly text: string; readonly value: T } | undefined;
}

/** A node that can be reached, and after how many words of the key: several counts behind a `#`. Ascending. */
interface Branch<T> {
  readonly node: Node<T>;
  readonly positions: number[];
}

const emptyNode = <T>(): Node<T> => ({ literals: undefined, star: undefined, hash: undefined, end: undefined });

/**
 * Finds the most specific of many patterns for a key, in the order of `compareTopicPatterns`.
 *
 * The walk goes depth first, literals before `*` before the end before `#`, so the first pattern found is the answer.
 * Nodes whose paths are alike in kind (`a.#.b` and `a.#.c`) rank the same and are walked as one group. Each node is
 * visited at most once, with all its positions in the key together, so `#` costs no backtracking. Before the first `#` a
 * group is one node at one position, which is walked as such.
 */
export class PatternTrie<T> {
  readonly #root: Node<T> = emptyNode();

  /** The pattern must not be in it yet. */
  add(pattern: TopicPattern, value: T): void {
    let node = this.#root;
    for (const word of pattern.words) node = child(node, word);
    node.end = { text: pattern.text, value };
  }

  find(routingKey: string): T | undefined {
    return beforeHash(this.#root, topicWords(routingKey), 0)?.value;
  }
}

function child<T>(node: Node<T>, word: string): Node<T> {
  if (word === '*') {
    node.star ??= emptyNode();
    return node.star;
  }
  if (word === '#') {
    node.hash ??= emptyNode();
    return node.hash;
  }
  node.literals ??= new Map();
  let next = node.literals.get(word);
  if (!next) {
    next = emptyNode();
    node.literals.set(word, next);
  }
  return next;
}

/** What `first` finds from one node at one position. */
function beforeHash<T>(node: Node<T>, words: readonly string[], position: number): Node<T>['end'] {
  const word = words[position];
  if (word === undefined) {
    if (node.end) return node.end;
  } else {
    const literal = node.literals?.get(word);
    const found =
      (literal && beforeHash(literal, words, position + 1)) ??
      (node.star && beforeHash(node.star, words, position + 1));
    if (found) return found;
  }
  const { hash } = node;
  // `a.#`, as most patterns are: it takes whatever is left.
  if (hash && !hash.literals && !hash.star && !hash.hash) return hash.end;
  return hash && first(byHash([{ node, positions: [position] }], words), words);
}

type Group<T> = Branch<T>[] | undefined;

function first<T>(group: Group<T>, words: readonly string[]): Node<T>['end'] {
  if (!group) return undefined;
  return (
    first(byLiteral(group, words), words) ??
    first(byStar(group, words), words) ??
    ended(group, words) ??
    first(byHash(group, words), words)
  );
}

function byLiteral<T>(group: readonly Branch<T>[], words: readonly string[]): Group<T> {
  let next: Group<T>;
  for (const { node, positions } of group) {
    if (!node.literals) continue;
    const from = next?.length ?? 0;
    for (const position of positions) {
      const word = words[position];
      const target = word === undefined ? undefined : node.literals.get(word);
      if (!target) continue;
      next ??= [];
      let reached = from;
      while (reached < next.length && next[reached]?.node !== target) reached += 1;
      const known = next[reached];
      if (known) known.positions.push(position + 1);
      else next.push({ node: target, positions: [position + 1] });
    }
  }
  return next;
}

function byStar<T>(group: readonly Branch<T>[], words: readonly string[]): Group<T> {
  let next: Group<T>;
  for (const { node, positions } of group) {
    if (!node.star) continue;
    const after: number[] = [];
    for (const position of positions) if (position < words.length) after.push(position + 1);
    if (after.length === 0) continue;
    next ??= [];
    next.push({ node: node.star, positions: after });
  }
  return next;
}

/** Of several ended patterns, alike in kind word for word, the first in alphabetical order. */
function ended<T>(group: readonly Branch<T>[], words: readonly string[]): Node<T>['end'] {
  let best: Node<T>['end'];
  for (const { node, positions } of group) {
    if (!node.end || positions[positions.length - 1] !== words.length) continue;
    if (!best || node.end.text < best.text) best = node.end;
  }
  return best;
}

function byHash<T>(group: readonly Branch<T>[], words: readonly string[]): Group<T> {
  let next: Group<T>;
  for (const { node, positions } of group) {
    if (!node.hash) continue;
    const reached: number[] = [];
    for (let at = positions[0] ?? 0; at <= words.length; at += 1) reached.push(at);
    next ??= [];
    next.push({ node: node.hash, positions: reached });
  }
  return next;
}
