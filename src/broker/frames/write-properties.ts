import type { Headers, MessageProperties } from '../../message/message.ts';
import { FieldTooLargeError, type FieldWriter } from './field-writer.ts';
import { FLAG } from './protocol.ts';

/** amqplib's limit for a message's table of headers, and ours. */
export const MAX_HEADER_BYTES = 64 * 1024;

const NO_HEADERS: Headers = Object.freeze({});
const MAX_OCTET = 2 ** 8 - 1;
/** The largest number below 2^64 that a double holds: what came as a timestamp of nanoseconds goes on as it is. */
const MAX_LONG = 2 ** 64 - 2 ** 11;

/** JavaScript callers have null for what is not there. */
type Given<T> = T | null | undefined;

/**
 * Flags and values of a content header. The table of headers is always there, as amqplib has it: clients that look into it
 * without asking find it.
 * @throws TypeError for a value that AMQP cannot carry, FieldTooLargeError for headers over the limit
 */
export function writeProperties(writer: FieldWriter, properties: MessageProperties): void {
  const flagsAt = writer.at;
  writer.uint16(0);
  let flags = FLAG.headers;
  flags |= text(writer, FLAG.contentType, 'content_type', properties.contentType);
  flags |= text(writer, FLAG.contentEncoding, 'content_encoding', properties.contentEncoding);
  const headersAt = writer.at;
  writer.table(properties.headers ?? NO_HEADERS);
  if (writer.at - headersAt > MAX_HEADER_BYTES) throw new FieldTooLargeError('no room for the headers');
  flags |= octet(writer, FLAG.deliveryMode, 'delivery_mode', properties.deliveryMode);
  flags |= octet(writer, FLAG.priority, 'priority', properties.priority);
  flags |= text(writer, FLAG.correlationId, 'correlation_id', properties.correlationId);
  flags |= text(writer, FLAG.replyTo, 'reply_to', properties.replyTo);
  flags |= text(writer, FLAG.expiration, 'expiration', properties.expiration);
  flags |= text(writer, FLAG.messageId, 'message_id', properties.messageId);
  flags |= seconds(writer, properties.timestamp);
  flags |= text(writer, FLAG.type, 'type', properties.type);
  flags |= text(writer, FLAG.userId, 'user_id', properties.userId);
  flags |= text(writer, FLAG.appId, 'app_id', properties.appId);
  writer.bytes.writeUInt16BE(flags, flagsAt);
}

function text(writer: FieldWriter, flag: number, name: string, value: Given<string>): number {
  if (value === undefined || value === null) return 0;
  writer.shortText(name, value);
  return flag;
}

function octet(writer: FieldWriter, flag: number, name: string, value: Given<number>): number {
  if (value === undefined || value === null) return 0;
  writer.uint8(wholeNumber(name, value, MAX_OCTET));
  return flag;
}

function seconds(writer: FieldWriter, value: Given<number>): number {
  if (value === undefined || value === null) return 0;
  writer.uint64(wholeNumber('timestamp', value, MAX_LONG));
  return FLAG.timestamp;
}

function wholeNumber(name: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new TypeError(`${name} is ${String(value)}, and must be a whole number from 0 to ${max}`);
}
