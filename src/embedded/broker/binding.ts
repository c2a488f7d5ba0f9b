import type { Exchange } from './exchange.ts';
import type { FieldTable } from './field-table.ts';
import type { Queue } from './queue.ts';

export type Destination =
  | { readonly kind: 'queue'; readonly queue: Queue }
  | { readonly kind: 'exchange'; readonly exchange: Exchange };

/** A way from an exchange to a queue or to another exchange. */
export interface Binding {
  readonly source: Exchange;
  readonly destination: Destination;
  readonly routingKey: string;
  readonly arguments: FieldTable;
}

export const destinationName = (destination: Destination): string =>
  destination.kind === 'queue' ? destination.queue.name : destination.exchange.name;
