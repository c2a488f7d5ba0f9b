import { DuplicateConsumerError } from '../errors.ts';
import { PatternTrie } from './pattern-trie.ts';
import { RecentKeys } from './recent-keys.ts';
import {
  describeOrigin,
  describeSelector,
  RegisteredRoute,
  type Registration,
  type Route,
  type Selector,
} from './route.ts';

interface ExchangeRoutes {
  readonly exact: Map<string, Route>;
  readonly patterns: Map<string, Route>;
  readonly trie: PatternTrie<Route>;
  /** What the trie answered, `null` for nothing. */
  readonly recent: RecentKeys<Route | null>;
  all: Route | undefined;
}

/**
 * The index of all routes. A look-up takes, in this order: the exact key, the most specific pattern, the consumer of the
 * whole exchange, the one of any exchange, the default.
 */
export class Routes {
  readonly #list: Route[] = [];
  readonly #exchanges = new Map<string, ExchangeRoutes>();
  #any: Route | undefined;
  #default: Route | undefined;

  get list(): readonly Route[] {
    return this.#list;
  }

  /**
   * Adds all of them or, when one is taken already, none.
   * @throws DuplicateConsumerError (SVC_COMM_DUPLICATE_CONSUMER)
   */
  add(registrations: readonly Registration[]): void {
    const added = registrations.map((registration) => ({
      selector: registration.selector,
      route: new RegisteredRoute(registration),
    }));
    const named = new Map<string, Route>();
    for (const { selector, route } of added) {
      const what = describeSelector(selector);
      const taken = named.get(what) ?? this.#taken(selector);
      if (taken) throw new DuplicateConsumerError(what, describeOrigin(taken), describeOrigin(route));
      named.set(what, route);
    }
    for (const { selector, route } of added) this.#put(selector, route);
  }

  resolve(exchange: string, routingKey: string): Route | undefined {
    const routes = this.#exchanges.get(exchange);
    if (!routes) return this.#any ?? this.#default;
    const exact = routes.exact.get(routingKey);
    if (exact) return exact;
    if (routes.patterns.size > 0) {
      const byPattern = this.#byPattern(routes, routingKey);
      if (byPattern) return byPattern;
    }
    return routes.all ?? this.#any ?? this.#default;
  }

  #byPattern(routes: ExchangeRoutes, routingKey: string): Route | null {
    const recent = routes.recent.get(routingKey);
    if (recent !== undefined) return recent;
    const found = routes.trie.find(routingKey) ?? null;
    routes.recent.set(routingKey, found);
    return found;
  }

  #taken(selector: Selector): Route | undefined {
    switch (selector.level) {
      case 'key':
        return this.#exchanges.get(selector.exchange)?.exact.get(selector.pattern.text);
      case 'pattern':
        return this.#exchanges.get(selector.exchange)?.patterns.get(selector.pattern.text);
      case 'exchange':
        return this.#exchanges.get(selector.exchange)?.all;
      case 'any':
        return this.#any;
      case 'default':
        return this.#default;
    }
  }

  #put(selector: Selector, route: Route): void {
    this.#list.push(route);
    switch (selector.level) {
      case 'key':
        this.#of(selector.exchange).exact.set(selector.pattern.text, route);
        break;
      case 'pattern': {
        const routes = this.#of(selector.exchange);
        routes.patterns.set(selector.pattern.text, route);
        routes.trie.add(selector.pattern, route);
        routes.recent.clear();
        break;
      }
      case 'exchange':
        this.#of(selector.exchange).all = route;
        break;
      case 'any':
        this.#any = route;
        break;
      case 'default':
        this.#default = route;
        break;
    }
  }

  #of(exchange: string): ExchangeRoutes {
    let routes = this.#exchanges.get(exchange);
    if (!routes) {
      routes = {
        exact: new Map(),
        patterns: new Map(),
        trie: new PatternTrie(),
        recent: new RecentKeys(),
        all: undefined,
      };
      this.#exchanges.set(exchange, routes);
    }
    return routes;
  }
}
