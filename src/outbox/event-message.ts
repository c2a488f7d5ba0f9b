import { HEADER, type Message } from '../message/message.ts';
import { stampedProperties } from '../message/stamp.ts';
import type { JsonLimits } from '../wire/json.ts';
import { type AggregateEvent, eventRow } from './event-row.ts';

/**
 * An event as a message that is sent at once: no transaction stands behind it.
 * @param now milliseconds since the epoch
 * @param limits of its receivers
 * @throws as `eventRow`
 */
export function eventMessage(
  event: AggregateEvent,
  appId: string,
  now: number,
  limits: JsonLimits,
): { readonly eventId: string; readonly message: Message } {
  const row = eventRow(event, new Date(now), appId, limits);
  const { exchange, routingKey, body, messageId, orderKey } = row;
  const properties = stampedProperties({ messageId, appId, now });
  const headers = orderKey === null ? properties.headers : { ...properties.headers, [HEADER.key]: orderKey };
  const message = { exchange, routingKey, body: Buffer.from(body), properties: { ...properties, headers } };
  return { eventId: messageId, message };
}
