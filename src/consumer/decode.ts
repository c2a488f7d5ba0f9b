import { MalformedMessageError } from '../errors.ts';
import type { Delivery } from '../message/subscriber.ts';
import { decodeJson, type JsonLimits } from '../wire/json.ts';

/** `content_encoding` values that mean "as it is"; some clients write the character set there. */
const PLAIN_ENCODINGS: ReadonlySet<string> = new Set(['', 'identity', 'utf-8', 'utf8']);

/**
 * The body as JSON. Compressed bodies are refused, not unpacked: a few bytes could become gigabytes.
 * @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE)
 */
export function decodeBody(delivery: Delivery, limits: JsonLimits): unknown {
  const encoding = delivery.properties.contentEncoding;
  if (encoding !== undefined && !PLAIN_ENCODINGS.has(encoding.toLowerCase())) {
    throw new MalformedMessageError(
      'encoding',
      `content encoding ${JSON.stringify(encoding.slice(0, 40))}; send it plain`,
    );
  }
  return decodeJson(delivery.body, limits);
}
