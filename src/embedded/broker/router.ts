import type { Exchange } from './exchange.ts';
import type { FieldTable } from './field-table.ts';
import type { Queue } from './queue.ts';

/** Where messages can go: what the virtual host knows by name. */
export interface Routes {
  readonly exchanges: ReadonlyMap<string, Exchange>;
  readonly queues: ReadonlyMap<string, Queue>;
}

/**
 * The queues that a message reaches, each once: through bindings, bindings between exchanges, and the alternate
 * exchange of each exchange that no binding of it takes the message further.
 * @param headers decoded only when a headers exchange asks for them
 */
export function route(
  routes: Routes,
  exchange: Exchange,
  routingKeys: readonly string[],
  headers: () => FieldTable | undefined,
): ReadonlySet<Queue> {
  const queues = new Set<Queue>();
  const seen = new Set([exchange]);
  const visit = (next: Exchange): void => {
    if (!seen.has(next)) seen.add(next);
  };
  // The set grows while it is walked: each exchange is visited once, so cycles end.
  for (const at of seen) {
    if (at.name === '') {
      for (const key of routingKeys) {
        const queue = routes.queues.get(key);
        if (queue) queues.add(queue);
      }
      continue;
    }
    let isTaken = false;
    at.index.match(routingKeys, headers, ({ destination }) => {
      isTaken = true;
      if (destination.kind === 'queue') queues.add(destination.queue);
      else visit(destination.exchange);
    });
    const alternate = isTaken || at.alternate === undefined ? undefined : routes.exchanges.get(at.alternate);
    if (alternate) visit(alternate);
  }
  return queues;
}
