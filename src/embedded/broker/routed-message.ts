import type { Field, FieldTable } from './field-table.ts';
import { fromWire } from './fields.ts';
import type { Message } from './message.ts';

/** A message on its way from an exchange, as text: for who looks on. */
export interface RoutedMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly messageId: string | undefined;
  readonly correlationId: string | undefined;
}

export function routedMessage(message: Message): RoutedMessage {
  const { headers, messageId, correlationId } = message.properties();
  return {
    exchange: fromWire(message.exchange),
    routingKey: fromWire(message.routingKey),
    body: message.body,
    headers: headers ? tableValue(headers) : {},
    messageId: messageId === undefined ? undefined : fromWire(messageId),
    correlationId: correlationId === undefined ? undefined : fromWire(correlationId),
  };
}

const tableValue = (table: FieldTable): Record<string, unknown> =>
  Object.fromEntries([...table].map(([name, field]) => [fromWire(name), fieldValue(field)]));

function fieldValue(field: Field): unknown {
  switch (field.type) {
    case 'S':
      return fromWire(field.value);
    case 'A':
      return field.value.map(fieldValue);
    case 'F':
      return tableValue(field.value);
    case 'l':
    case 'T':
      return Number(field.value);
    case 'D':
      return field.value / 10 ** field.scale;
    default:
      return field.value;
  }
}
