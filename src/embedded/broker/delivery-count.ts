import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { longField } from './fields.ts';
import { readProperties, writeProperties } from './properties.ts';

const HEADER = 'x-delivery-count';
/** Flags of what stands before the headers, and of the headers. */
const CONTENT_TYPE = 1 << 15;
const CONTENT_ENCODING = 1 << 14;
const HEADERS = 1 << 13;

/**
 * Puts the count into encoded properties without decoding them: quorum queues do it with every delivery.
 */
export function withDeliveryCount(encoded: Buffer, count: number): Buffer {
  if (encoded.includes(HEADER, 0, 'latin1')) return replaceCount(encoded, count);
  const reader = new ByteReader(encoded);
  const flags = reader.uint16();
  if ((flags & CONTENT_TYPE) !== 0) reader.shortString();
  if ((flags & CONTENT_ENCODING) !== 0) reader.shortString();
  const at = encoded.length - reader.remaining;
  const entries = (flags & HEADERS) === 0 ? Buffer.alloc(0) : reader.bytes(reader.uint32());
  const writer = new ByteWriter();
  writer.uint16(flags | HEADERS);
  writer.bytes(encoded.subarray(2, at));
  const from = writer.beginSized();
  writer.bytes(entries);
  writer.shortString(HEADER);
  writer.uint8('l'.charCodeAt(0));
  writer.uint64(count);
  writer.endSized(from);
  writer.bytes(reader.bytes(reader.remaining));
  return writer.take();
}

function replaceCount(encoded: Buffer, count: number): Buffer {
  const properties = readProperties(encoded);
  const headers = new Map(properties.headers).set(HEADER, longField(count));
  return writeProperties({ ...properties, headers });
}
