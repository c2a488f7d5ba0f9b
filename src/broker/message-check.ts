import { v7 } from 'uuid';
import { InvalidArgumentError, InvalidNameError, MessageTooLargeError } from '../errors.ts';
import { MAX_NAME_BYTES, type Message, type MessageProperties } from '../message/message.ts';
import { isDirectReply } from '../message/replies.ts';
import { messageOf } from '../util/thrown.ts';
import { FieldTooLargeError } from './frames/field-writer.ts';
import type { OutgoingMessage } from './frames/frame-writer.ts';
import { MAX_HEADER_BYTES } from './frames/write-properties.ts';

export interface CheckedMessage extends OutgoingMessage {
  readonly messageId: string;
  readonly isExchangeForeign: boolean;
}

/** A larger one closes the channel with 406. */
const MAX_EXPIRATION_MS = 4_294_967_295;
const WHOLE_NUMBER = /^\d{1,10}$/;

/**
 * Checks what would close the channel, or throw half-way, before anything is sent; adds `mandatory`, and a message id
 * (UUIDv7) where there is none.
 * @throws InvalidNameError, InvalidArgumentError, MessageTooLargeError
 */
export function checkMessage(
  { exchange, routingKey, body, properties, isExchangeForeign }: Message,
  maxBodyBytes: number,
): CheckedMessage {
  assertName('exchange', exchange);
  assertName('routing key', routingKey);
  if (body.byteLength > maxBodyBytes) throw new MessageTooLargeError('message body', body.byteLength, maxBodyBytes);
  const { expiration } = properties;
  if (expiration !== undefined) assertExpiration(expiration);
  const messageId = properties.messageId ?? v7();
  assertName('message id', messageId);
  // Written out: a spread of differently shaped objects costs more than the rest of this function.
  const written: MessageProperties = {
    contentType: properties.contentType,
    contentEncoding: properties.contentEncoding,
    headers: properties.headers,
    deliveryMode: properties.deliveryMode,
    priority: properties.priority,
    correlationId: properties.correlationId,
    replyTo: properties.replyTo,
    expiration,
    messageId,
    timestamp: properties.timestamp,
    type: properties.type,
    userId: properties.userId,
    appId: properties.appId,
  };
  return {
    exchange,
    routingKey,
    content: Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength),
    messageId,
    properties: written,
    // RabbitMQ counts no direct reply as routed: it would come back though it arrived.
    isMandatory: !isDirectReply(exchange, routingKey),
    isExchangeForeign: isExchangeForeign === true,
  };
}

/** What was thrown while it was written: nothing has been sent. */
export function encodingError(error: unknown): Error {
  if (error instanceof FieldTooLargeError) {
    const limit = error.limitBytes ?? MAX_HEADER_BYTES;
    return new MessageTooLargeError('message header block', limit + 1, limit);
  }
  const text = messageOf(error);
  return new InvalidArgumentError('message properties', 'values that AMQP can carry', text, { cause: error });
}

function assertName(what: string, value: string): void {
  // No character has more than 3 bytes for each UTF-16 unit.
  if (value.length * 3 <= MAX_NAME_BYTES) return;
  const bytes = Buffer.byteLength(value);
  if (bytes > MAX_NAME_BYTES) {
    throw new InvalidNameError(what, value, `has ${bytes} bytes; AMQP allows ${MAX_NAME_BYTES}`);
  }
}

function assertExpiration(expiration: string): void {
  const ms = WHOLE_NUMBER.test(expiration) ? Number(expiration) : 0;
  if (ms > 0 && ms <= MAX_EXPIRATION_MS) return;
  throw new InvalidArgumentError('expiration', `whole milliseconds, 1 to ${MAX_EXPIRATION_MS}`, `"${expiration}"`);
}
