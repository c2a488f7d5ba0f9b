import type { MessageProperties } from '../../message/message.ts';
import type { FieldReader } from './field-reader.ts';
import { FLAG } from './protocol.ts';

/** @param reader at the flags of a content header */
export function readProperties(reader: FieldReader): MessageProperties {
  const flags = reader.uint16();
  // In one shape, in the order of the wire.
  return {
    contentType: flags & FLAG.contentType ? reader.name() : undefined,
    contentEncoding: flags & FLAG.contentEncoding ? reader.name() : undefined,
    headers: flags & FLAG.headers ? reader.table() : undefined,
    deliveryMode: flags & FLAG.deliveryMode ? reader.uint8() : undefined,
    priority: flags & FLAG.priority ? reader.uint8() : undefined,
    correlationId: flags & FLAG.correlationId ? reader.shortText() : undefined,
    replyTo: flags & FLAG.replyTo ? reader.name() : undefined,
    expiration: flags & FLAG.expiration ? reader.name() : undefined,
    messageId: flags & FLAG.messageId ? reader.shortText() : undefined,
    timestamp: flags & FLAG.timestamp ? reader.uint64() : undefined,
    type: flags & FLAG.type ? reader.name() : undefined,
    userId: flags & FLAG.userId ? reader.name() : undefined,
    appId: flags & FLAG.appId ? reader.name() : undefined,
  };
}
