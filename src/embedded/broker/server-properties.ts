import type { Field, FieldTable } from './field-table.ts';
import { boolField, tableField, textField } from './fields.ts';

/** The RabbitMQ whose rules are followed. Clients compare it, some by parsers that take digits and dots alone. */
export const COMPATIBLE_VERSION = '3.10.8';

const CAPABILITIES = [
  'publisher_confirms',
  'exchange_exchange_bindings',
  'basic.nack',
  'consumer_cancel_notify',
  'connection.blocked',
  'consumer_priorities',
  'authentication_failure_close',
  'per_consumer_qos',
  'direct_reply_to',
];

/** What the broker says of itself in `connection.start`. */
export const SERVER_PROPERTIES: FieldTable = new Map<string, Field>([
  ['capabilities', tableField(CAPABILITIES.map((name) => [name, boolField(true)]))],
  ['cluster_name', textField('svc-comm')],
  ['copyright', textField('MIT')],
  ['information', textField('An in-memory broker for development and tests; not for production')],
  ['platform', textField(`Node.js ${process.versions.node}`)],
  ['product', textField('svc-comm embedded broker')],
  ['version', textField(COMPATIBLE_VERSION)],
]);
