import { type Binding, type Destination, destinationName } from './binding.ts';
import { type BindingIndex, bindingIndex, type ExchangeType } from './exchange-type.ts';
import type { FieldTable } from './field-table.ts';
import { tableKey, textOf } from './fields.ts';

export interface ExchangeDefinition {
  readonly name: string;
  readonly type: ExchangeType;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  readonly isInternal: boolean;
  readonly arguments: FieldTable;
}

/** An exchange with the bindings that leave it. */
export class Exchange {
  readonly definition: ExchangeDefinition;
  /** Where what no binding takes goes. */
  readonly alternate: string | undefined;
  readonly index: BindingIndex;
  readonly #outgoing = new Map<string, Binding>();
  /** Bindings of other exchanges that lead here. */
  readonly incoming = new Set<Binding>();

  constructor(definition: ExchangeDefinition) {
    this.definition = definition;
    this.alternate = textOf(definition.arguments.get('alternate-exchange'));
    this.index = bindingIndex(definition.type);
  }

  get name(): string {
    return this.definition.name;
  }

  get outgoing(): Iterable<Binding> {
    return this.#outgoing.values();
  }

  get isUsed(): boolean {
    return this.#outgoing.size > 0;
  }

  find(destination: Destination, routingKey: string, args: FieldTable): Binding | undefined {
    return this.#outgoing.get(bindingKey(destination, routingKey, args));
  }

  add(binding: Binding): void {
    this.#outgoing.set(bindingKey(binding.destination, binding.routingKey, binding.arguments), binding);
    this.index.add(binding);
  }

  remove(binding: Binding): void {
    this.#outgoing.delete(bindingKey(binding.destination, binding.routingKey, binding.arguments));
    this.index.remove(binding);
  }
}

const bindingKey = (destination: Destination, routingKey: string, args: FieldTable): string =>
  JSON.stringify([destination.kind, destinationName(destination), routingKey, tableKey(args)]);
