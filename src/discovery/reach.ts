import { PatternTrie } from '../router/pattern-trie.ts';
import { parseTopicPattern } from '../util/topic-pattern.ts';
import type { ServiceDescription } from './description.ts';

/** Which messages a description's consumers are brought and take. */
export class Reach {
  readonly #binds = new Patterns();
  readonly #routes = new Patterns();
  #takesAll = false;

  constructor({ binds, consumes }: Pick<ServiceDescription, 'binds' | 'consumes'>) {
    for (const { exchange, pattern } of binds) this.#binds.add(exchange, pattern);
    for (const { exchange, routingKey } of consumes) {
      if (exchange === undefined) this.#takesAll = true;
      else this.#routes.add(exchange, routingKey);
    }
  }

  /** As a topic exchange routes, and as the router looks: the queue is bound for it, and a consumer is there for it. */
  takes(exchange: string, routingKey: string): boolean {
    if (!this.#binds.match(exchange, routingKey)) return false;
    return this.#takesAll || this.#routes.match(exchange, routingKey);
  }
}

class Patterns {
  readonly #exchanges = new Map<string, { readonly known: Set<string>; readonly trie: PatternTrie<true> }>();

  add(exchange: string, pattern: string): void {
    let patterns = this.#exchanges.get(exchange);
    if (!patterns) {
      patterns = { known: new Set(), trie: new PatternTrie() };
      this.#exchanges.set(exchange, patterns);
    }
    if (patterns.known.has(pattern)) return;
    patterns.known.add(pattern);
    patterns.trie.add(parseTopicPattern(pattern), true);
  }

  match(exchange: string, routingKey: string): boolean {
    return this.#exchanges.get(exchange)?.trie.find(routingKey) === true;
  }
}
