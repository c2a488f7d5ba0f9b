import { InvalidArgumentError, InvalidNameError, MessageTooLargeError } from '../errors.ts';
import { MAX_NAME_BYTES } from '../message/message.ts';
import { kindOf } from '../util/assert-object.ts';
import { MAX_HEADERS_BYTES } from './limits.ts';

const CONTROL = /\p{Cc}/u;
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * A name that AMQP and PostgreSQL both carry.
 * @throws InvalidNameError (SVC_COMM_INVALID_NAME)
 */
export function assertName(what: string, value: unknown, isEmptyAllowed = false): asserts value is string {
  if (typeof value !== 'string') throw new InvalidArgumentError(what, 'a string', kindOf(value));
  if (value === '' && !isEmptyAllowed) throw new InvalidNameError(what, value, 'is empty');
  const bytes = Buffer.byteLength(value);
  if (bytes > MAX_NAME_BYTES)
    throw new InvalidNameError(what, value, `has ${bytes} bytes, the limit is ${MAX_NAME_BYTES}`);
  if (CONTROL.test(value)) throw new InvalidNameError(what, value, 'contains a control character');
  if (LONE_SURROGATE.test(value)) throw new InvalidNameError(what, value, 'contains half of a surrogate pair');
}

/** @throws MessageTooLargeError (SVC_COMM_MESSAGE_TOO_LARGE) */
export function assertBodySize(bytes: number, limitBytes: number): void {
  if (bytes > limitBytes) throw new MessageTooLargeError('the body', bytes, limitBytes);
}

/** @throws MessageTooLargeError (SVC_COMM_MESSAGE_TOO_LARGE) */
export function assertHeadersSize(bytes: number): void {
  if (bytes > MAX_HEADERS_BYTES) throw new MessageTooLargeError('the header block', bytes, MAX_HEADERS_BYTES);
}

/** What future events are found by when they are to be cancelled. */
export type Tags = Readonly<Record<string, string | number | boolean | null>>;

/**
 * Tags as JSON text.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) unless it is a plain object of JSON scalars that jsonb holds
 */
export function encodeTags(tags: unknown): string {
  if (typeof tags !== 'object' || tags === null || ![Object.prototype, null].includes(Object.getPrototypeOf(tags))) {
    throw new InvalidArgumentError('tags', 'a plain object of strings, numbers, booleans and nulls', kindOf(tags));
  }
  for (const [name, value] of Object.entries(tags)) {
    assertTagText(`name of a tag`, name);
    if (typeof value === 'string') assertTagText(`tags.${name}`, value);
    else if (!(value === null || typeof value === 'boolean' || Number.isFinite(value))) {
      const got = typeof value === 'number' ? String(value) : kindOf(value);
      throw new InvalidArgumentError(`tags.${name}`, 'a string, a finite number, a boolean or null', got);
    }
  }
  return JSON.stringify(tags);
}

/** jsonb holds neither NUL nor half a surrogate pair. */
function assertTagText(what: string, text: string): void {
  if (text.includes('\0') || LONE_SURROGATE.test(text)) {
    throw new InvalidArgumentError(what, 'text without NUL and lone surrogates', JSON.stringify(text.slice(0, 80)));
  }
}
