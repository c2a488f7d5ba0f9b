import { BUILT_IN_EXCHANGES } from '../../message/topology.ts';
import type { Alarms } from './alarm.ts';
import type { Binding, Destination } from './binding.ts';
import { deadLetter } from './dead-letter.ts';
import { Exchange, type ExchangeDefinition } from './exchange.ts';
import { EMPTY_TABLE } from './field-table.ts';
import type { Message } from './message.ts';
import { ProtocolError } from './protocol-error.ts';
import { Queue } from './queue.ts';
import type { DeathReason, QueueDefinition, QueueHost } from './queue-definition.ts';
import type { QueuedMessage } from './queued-message.ts';
import { type Routes, route } from './router.ts';
import type { StateChanges } from './state-changes.ts';

/** The one virtual host. */
export const VHOST = '/';
export const described = (kind: 'queue' | 'exchange', name: string): string => `${kind} '${name}' in vhost '${VHOST}'`;

/** What became of a message: taken by every queue that it reached, refused by one of them, or it reached none. */
export type PublishOutcome = 'taken' | 'refused' | 'unroutable';

export interface VirtualHostEvents {
  readonly changes: StateChanges;
  /** Memory of queued messages changed by so many bytes. */
  held(bytes: number): void;
  /** A message that left the queue failed on its way to the dead letters: it is in none, or not in all that it reaches. */
  lost(queue: Queue, reason: DeathReason, error: unknown): void;
  /** A message that a client published is about to be routed; left out: nobody looks on. */
  readonly routed?: ((message: Message) => void) | undefined;
}

/** Exchanges, queues and bindings by name, and what happens between them. */
export class VirtualHost implements QueueHost, Routes {
  readonly alarms: Alarms;
  readonly exchanges = new Map<string, Exchange>();
  readonly queues = new Map<string, Queue>();
  readonly #events: VirtualHostEvents;

  constructor(alarms: Alarms, events: VirtualHostEvents) {
    this.alarms = alarms;
    this.#events = events;
    for (const [name, type] of BUILT_IN_EXCHANGES) {
      const isInternal = name === 'amq.rabbitmq.trace';
      const definition = { name, type, isDurable: true, isAutoDelete: false, isInternal, arguments: EMPTY_TABLE };
      this.exchanges.set(name, new Exchange(definition));
    }
  }

  /** @throws ProtocolError 404 */
  exchange(name: string): Exchange {
    const exchange = this.exchanges.get(name);
    if (!exchange) throw new ProtocolError('NOT_FOUND', `no ${described('exchange', name)}`);
    return exchange;
  }

  /** @throws ProtocolError 404 */
  queue(name: string): Queue {
    const queue = this.queues.get(name);
    if (!queue) throw new ProtocolError('NOT_FOUND', `no ${described('queue', name)}`);
    return queue;
  }

  addExchange(definition: ExchangeDefinition): Exchange {
    const exchange = new Exchange(definition);
    this.exchanges.set(definition.name, exchange);
    this.#events.changes.exchangeAdded(exchange);
    return exchange;
  }

  addQueue(definition: QueueDefinition): Queue {
    const queue = new Queue(definition, this);
    this.queues.set(definition.name, queue);
    this.#events.changes.queueAdded(queue);
    return queue;
  }

  deleteExchange(exchange: Exchange): void {
    this.exchanges.delete(exchange.name);
    for (const binding of [...exchange.outgoing]) this.#detach(binding);
    for (const binding of [...exchange.incoming]) this.unbind(binding);
    this.#events.changes.exchangeDeleted(exchange);
  }

  /** @returns how many ready messages went with it */
  deleteQueue(queue: Queue): number {
    if (queue.isDeleted) return 0;
    this.queues.delete(queue.name);
    for (const binding of [...queue.bindings]) this.unbind(binding);
    const count = queue.delete();
    this.#events.changes.queueDeleted(queue);
    return count;
  }

  bind(binding: Binding): void {
    const { source, destination, routingKey } = binding;
    if (source.find(destination, routingKey, binding.arguments)) return;
    source.add(binding);
    incomingOf(destination).add(binding);
    this.#events.changes.bound(binding);
  }

  /** An auto-delete exchange goes with the last binding that leaves it. */
  unbind(binding: Binding): void {
    this.#detach(binding);
    const { source } = binding;
    if (source.definition.isAutoDelete && !source.isUsed) this.deleteExchange(source);
  }

  #detach(binding: Binding): void {
    binding.source.remove(binding);
    incomingOf(binding.destination).delete(binding);
    this.#events.changes.unbound(binding);
  }

  publish(exchange: Exchange, message: Message): PublishOutcome {
    this.#events.routed?.(message);
    // One queue by its name is what most publishes are.
    if (exchange.name === '' && message.copyKeys.length === 0 && message.blindKeys.length === 0) {
      const queue = this.queues.get(message.routingKey);
      if (!queue) return 'unroutable';
      return queue.push(message) ? 'taken' : 'refused';
    }
    const queues = route(this, exchange, message.routingKeys, () => message.properties().headers);
    if (queues.size === 0) return 'unroutable';
    let outcome: PublishOutcome = 'taken';
    for (const queue of queues) if (!queue.push(message)) outcome = 'refused';
    return outcome;
  }

  deadLetter(queue: Queue, message: Message, reason: DeathReason): void {
    try {
      this.#deadLetter(queue, message, reason);
    } catch (error) {
      // Most die by a timer, where a throw ends the process: one message, kept in a state file, would do so at each start.
      this.#events.lost(queue, reason, error);
    }
  }

  #deadLetter(queue: Queue, message: Message, reason: DeathReason): void {
    const name = queue.definition.settings.deadLetterExchange;
    const exchange = name === undefined ? undefined : this.exchanges.get(name);
    if (!exchange) return;
    const dead = deadLetter(queue, message, reason, this.alarms.now());
    const targets = route(this, exchange, dead.routingKeys, () => dead.message.properties().headers);
    for (const target of targets) if (!dead.isCycle(target)) target.push(dead.message);
  }

  /** Sets every timer aside. */
  dispose(): void {
    for (const queue of [...this.queues.values()]) queue.delete();
    this.queues.clear();
  }

  abandoned(queue: Queue): void {
    this.deleteQueue(queue);
  }

  came(queue: Queue, entry: QueuedMessage, bytes: number): void {
    this.#events.held(bytes);
    this.#events.changes.came(queue, entry);
  }

  delivered(queue: Queue, entry: QueuedMessage): void {
    this.#events.changes.delivered(queue, entry);
  }

  left(queue: Queue, entry: QueuedMessage, bytes: number): void {
    this.#events.held(-bytes);
    this.#events.changes.left(queue, entry);
  }
}

const incomingOf = (destination: Destination): Set<Binding> =>
  destination.kind === 'queue' ? destination.queue.bindings : destination.exchange.incoming;
