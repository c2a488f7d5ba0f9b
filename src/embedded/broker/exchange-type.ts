import type { Binding } from './binding.ts';
import { EMPTY_TABLE, type FieldTable } from './field-table.ts';
import { matchesHeaders } from './headers-match.ts';
import { TopicTrie } from './topic-trie.ts';

export const EXCHANGE_TYPES = ['direct', 'fanout', 'topic', 'headers'] as const;
export type ExchangeType = (typeof EXCHANGE_TYPES)[number];

/** How an exchange finds the bindings that a message goes through. */
export interface BindingIndex {
  add(binding: Binding): void;
  remove(binding: Binding): void;
  /** @param headers decoded only when asked for */
  match(routingKeys: readonly string[], headers: () => FieldTable | undefined, visit: (binding: Binding) => void): void;
}

export const isExchangeType = (type: string): type is ExchangeType => EXCHANGE_TYPES.includes(type as ExchangeType);

export function bindingIndex(type: ExchangeType): BindingIndex {
  switch (type) {
    case 'direct':
      return directIndex();
    case 'fanout':
      return fanoutIndex();
    case 'topic':
      return topicIndex();
    case 'headers':
      return headersIndex();
    default:
      return type satisfies never;
  }
}

function directIndex(): BindingIndex {
  const byKey = new Map<string, Set<Binding>>();
  return {
    add(binding) {
      const bindings = byKey.get(binding.routingKey);
      if (bindings) bindings.add(binding);
      else byKey.set(binding.routingKey, new Set([binding]));
    },
    remove(binding) {
      const bindings = byKey.get(binding.routingKey);
      bindings?.delete(binding);
      if (bindings?.size === 0) byKey.delete(binding.routingKey);
    },
    match(routingKeys, _headers, visit) {
      for (const key of routingKeys) for (const binding of byKey.get(key) ?? []) visit(binding);
    },
  };
}

function fanoutIndex(): BindingIndex {
  const bindings = new Set<Binding>();
  return {
    add: (binding) => bindings.add(binding),
    remove: (binding) => bindings.delete(binding),
    match(_routingKeys, _headers, visit) {
      for (const binding of bindings) visit(binding);
    },
  };
}

function topicIndex(): BindingIndex {
  const trie = new TopicTrie<Binding>();
  return {
    add: (binding) => trie.add(binding.routingKey, binding),
    remove: (binding) => trie.remove(binding.routingKey, binding),
    match(routingKeys, _headers, visit) {
      for (const key of routingKeys) trie.match(key, visit);
    },
  };
}

function headersIndex(): BindingIndex {
  const bindings = new Set<Binding>();
  return {
    add: (binding) => bindings.add(binding),
    remove: (binding) => bindings.delete(binding),
    match(_routingKeys, headers, visit) {
      if (bindings.size === 0) return;
      const found = headers() ?? EMPTY_TABLE;
      for (const binding of bindings) if (matchesHeaders(binding.arguments, found)) visit(binding);
    },
  };
}
