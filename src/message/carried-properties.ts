import { type HeaderValue, MAX_NAME_BYTES, type MessageProperties } from './message.ts';

const TEXTS = ['contentType', 'contentEncoding', 'correlationId', 'replyTo', 'messageId', 'type', 'appId'] as const;

/** A timestamp has 64 bits, and the largest of them are rounded up to this when they are read. */
const TIMESTAMPS = 2 ** 64;

type Properties = Omit<MessageProperties, 'headers'>;

export interface CarriedProperties {
  /** What can be written in its own place. */
  readonly written: Properties;
  /** The others, for a header; undefined when there are none. */
  readonly carried: { readonly [name: string]: HeaderValue } | undefined;
}

/**
 * Tells the properties that came, and cannot be written as they were read. AMQP's short strings are any 255 bytes, and
 * of those that are no UTF-8 (Latin-1, raw ids) each is three bytes once it was read.
 */
export function carryUnwritable(properties: Properties): CarriedProperties {
  const carried: Record<string, HeaderValue> = {};
  for (const name of TEXTS) {
    const text = properties[name];
    if (text !== undefined && Buffer.byteLength(text) > MAX_NAME_BYTES) carried[name] = text;
  }
  const { timestamp } = properties;
  if (timestamp !== undefined && timestamp >= TIMESTAMPS) carried.timestamp = timestamp;
  const names = Object.keys(carried);
  if (names.length === 0) return { written: properties, carried: undefined };
  const isWritten = ([name]: [string, unknown]) => !names.includes(name);
  return { written: Object.fromEntries(Object.entries(properties).filter(isWritten)), carried };
}

/** Fields of a header that is a table; none of any other. */
export function entriesOf(header: HeaderValue): readonly [name: string, value: HeaderValue][] {
  const isTable =
    typeof header === 'object' && header !== null && !Array.isArray(header) && !ArrayBuffer.isView(header);
  return isTable ? Object.entries(header) : [];
}

/** @param header what was carried; of what anybody may have written there, only what `carryUnwritable` carries is read */
export function readCarried(header: HeaderValue): Properties {
  const carried = new Map(entriesOf(header));
  const read: { -readonly [Name in keyof Properties]: Properties[Name] } = {};
  for (const name of TEXTS) {
    const text = carried.get(name);
    // Each byte is one character at most.
    if (typeof text === 'string' && text.length <= MAX_NAME_BYTES) read[name] = text;
  }
  const timestamp = carried.get('timestamp');
  if (typeof timestamp === 'number') read.timestamp = timestamp;
  return read;
}
