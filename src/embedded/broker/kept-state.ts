import { type Binding, destinationName } from './binding.ts';
import type { ExchangeDefinition } from './exchange.ts';
import { tableKey } from './fields.ts';
import type { BindingRecord, JournalRecord, MessageRecord, QueueRecord } from './journal-records.ts';
import type { Message } from './message.ts';
import type { Queue } from './queue.ts';
import { resolveQueueArguments } from './queue-arguments.ts';
import { isSpent } from './queue-limits.ts';
import type { QueuedMessage } from './queued-message.ts';
import type { Unacked } from './unacked-messages.ts';
import { described, type VirtualHost } from './virtual-host.ts';

interface KeptQueue {
  readonly definition: QueueRecord;
  readonly messages: Map<number, MessageRecord>;
}

/** What a journal's records come to. */
export class KeptState {
  readonly #exchanges = new Map<string, ExchangeDefinition>();
  readonly #queues = new Map<number, KeptQueue>();
  readonly #bindings = new Map<string, BindingRecord>();

  apply(record: JournalRecord): void {
    switch (record.kind) {
      case 'exchange':
        this.#exchanges.set(record.exchange.name, record.exchange);
        return;
      case 'exchange-deleted':
        this.#exchanges.delete(record.name);
        return;
      case 'queue':
        this.#queues.set(record.queue.queue, { definition: record.queue, messages: new Map() });
        return;
      case 'queue-deleted':
        this.#queues.delete(record.queue);
        return;
      case 'bound':
        this.#bindings.set(keyOf(record.binding), record.binding);
        return;
      case 'unbound':
        this.#bindings.delete(keyOf(record.binding));
        return;
      case 'message':
        this.#queues.get(record.entry.queue)?.messages.set(record.entry.id, record.entry);
        return;
      case 'left':
        this.#queues.get(record.queue)?.messages.delete(record.id);
        return;
      case 'delivered':
        this.#delivered(record.queue, record.id);
        return;
      default:
        record satisfies never;
    }
  }

  /** Every delivery counts as one that came back: the client was not heard of again. */
  #delivered(queue: number, id: number): void {
    const messages = this.#queues.get(queue)?.messages;
    const entry = messages?.get(id);
    if (entry) messages?.set(id, { ...entry, isRedelivered: true, returns: entry.returns + 1 });
  }

  /**
   * Puts everything into an empty virtual host. Messages whose last return was the end of their host, and one too many,
   * go where that return would have brought them: else one that kills the host would do so at each start.
   */
  restore(vhost: VirtualHost): void {
    const spent: { readonly queue: Queue; readonly message: Message }[] = [];
    for (const definition of this.#exchanges.values()) vhost.addExchange(definition);
    for (const { definition, messages } of this.#queues.values()) {
      const { name, isAutoDelete, arguments: args } = definition;
      const settings = resolveQueueArguments(args, described('queue', name));
      const queue = vhost.addQueue({
        name,
        isAutoDelete,
        isDurable: true,
        owner: undefined,
        arguments: args,
        settings,
      });
      for (const entry of messages.values()) {
        if (isSpent(settings, entry.returns)) spent.push({ queue, message: entry.message });
        else queue.restore(entry);
      }
    }
    for (const binding of this.#bindings.values()) restoreBinding(vhost, binding);
    // Only now: where dead letters go, bindings say.
    for (const { queue, message } of spent) vhost.deadLetter(queue, message, 'delivery_limit');
  }
}

function restoreBinding(vhost: VirtualHost, { source, kind, destination, routingKey, arguments: args }: BindingRecord) {
  vhost.bind({
    source: vhost.exchange(source),
    destination:
      kind === 'queue' ? { kind, queue: vhost.queue(destination) } : { kind, exchange: vhost.exchange(destination) },
    routingKey,
    arguments: args,
  });
}

const keyOf = ({ source, kind, destination, routingKey, arguments: args }: BindingRecord): string =>
  JSON.stringify([source, kind, destination, routingKey, tableKey(args)]);

export function recordOf({ source, destination, routingKey, arguments: args }: Binding): BindingRecord {
  const { kind } = destination;
  return { source: source.name, kind, destination: destinationName(destination), routingKey, arguments: args };
}

export const isKeptBinding = ({ source, destination }: Binding): boolean =>
  source.definition.isDurable &&
  (destination.kind === 'queue' ? destination.queue.definition.isDurable : destination.exchange.definition.isDurable);

export const isKeptMessage = (queue: Queue, { message }: QueuedMessage): boolean =>
  queue.definition.isDurable && (message.isPersistent || queue.isQuorum);

/**
 * The records that come to the state of this moment.
 * @param unacked deliveries that wait to be settled: after a restart they wait in their queues again
 */
export function* recordsOf(
  vhost: VirtualHost,
  unacked: Iterable<Unacked>,
  numberOf: (queue: Queue) => number,
): Generator<JournalRecord> {
  const delivered = new Map<Queue, QueuedMessage[]>();
  for (const { queue, entry } of unacked) {
    const entries = delivered.get(queue) ?? [];
    entries.push({ ...entry, isRedelivered: true, returns: entry.returns + 1 });
    delivered.set(queue, entries);
  }
  for (const { name, definition } of vhost.exchanges.values()) {
    if (definition.isDurable && isOwn(name)) yield { kind: 'exchange', exchange: definition };
  }
  for (const queue of vhost.queues.values()) {
    const { name, isDurable, isAutoDelete, arguments: args } = queue.definition;
    if (!isDurable) continue;
    const number = numberOf(queue);
    yield { kind: 'queue', queue: { queue: number, name, isAutoDelete, arguments: args } };
    const entries = [...queue.ready, ...(delivered.get(queue) ?? [])].sort((a, b) => a.position - b.position);
    for (const entry of entries) {
      if (isKeptMessage(queue, entry)) yield { kind: 'message', entry: { queue: number, ...entry } };
    }
  }
  for (const exchange of vhost.exchanges.values()) {
    for (const binding of exchange.outgoing) {
      if (isKeptBinding(binding)) yield { kind: 'bound', binding: recordOf(binding) };
    }
  }
}

/** Not one of the broker's own, which are there anyway. */
export const isOwn = (name: string): boolean => name !== '' && !name.startsWith('amq.');
