import { createHash } from 'node:crypto';
import type { InboxKey } from '../message/inbox.ts';
import { MAX_NAME_BYTES } from '../message/message.ts';
import type { Delivery } from '../message/subscriber.ts';
import { storable } from '../util/storable.ts';

/**
 * What a message is known by before anything of it is read: a body may be what ends the process. Two messages without an
 * id and with the same body count as one.
 */
export function identityOf({ queue, properties, body }: Delivery): InboxKey {
  const messageId = properties.messageId || `body:${createHash('sha256').update(body).digest('hex')}`;
  return { queue, source: keep(properties.appId ?? ''), messageId: keep(messageId) };
}

const keep = (text: string): string => storable(text, MAX_NAME_BYTES);

/** Whether it has been with a consumer before: quorum queues count, classic ones only say so. */
export function hasComeBack({ redelivered, properties }: Delivery): boolean {
  const count = properties.headers?.['x-delivery-count'];
  return redelivered || (typeof count === 'number' && count > 0);
}
