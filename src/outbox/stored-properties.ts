import { HEADER, type Headers, type HeaderValue, type MessageProperties } from '../message/message.ts';
import type { UnroutablePolicy } from './relay-options.ts';
import { assertHeadersSize } from './validate.ts';

/** The properties of a message that a row's own columns and the defaults do not say. */
export interface StoredProperties extends Omit<MessageProperties, 'messageId'> {
  /** Not a UUID, so not in its column; null: the message has none. */
  readonly messageId?: string | null;
  /** The body's column holds base64: its bytes are no UTF-8 text. */
  readonly isBase64?: true;
  /** Somebody must get it: a row that reaches no queue stays, whatever the setting says of events. */
  readonly isRequired?: true;
  /** As of `Message`. */
  readonly isExchangeForeign?: true;
}

/** What a message of ours has unless it says otherwise; the relay adds `timestamp` from the row's own time. */
export const DEFAULT_CONTENT_TYPE = 'application/json';
const PERSISTENT = 2;
const BYTES = '$base64';

/**
 * The JSON for a row's `properties` column.
 * @param orderKey is in its own column, so its header is left out
 * @param extra what the columns `body`, `message_id` and `app_id` cannot say
 * @returns null when the defaults say it all
 * @throws MessageTooLargeError (SVC_COMM_MESSAGE_TOO_LARGE) for headers over 64 KiB
 */
export function storeProperties(
  properties: MessageProperties,
  orderKey: string | null,
  extra: Pick<StoredProperties, 'messageId' | 'appId' | 'isBase64' | 'isRequired' | 'isExchangeForeign'> = {},
): string | null {
  const {
    messageId: _id,
    appId: _app,
    expiration: _expiration,
    deliveryMode,
    contentType,
    headers,
    ...others
  } = properties;
  const stored: Record<string, unknown> = {};
  for (const [name, value] of Object.entries({ ...others, ...extra })) if (value !== undefined) stored[name] = value;
  if (contentType !== DEFAULT_CONTENT_TYPE) stored.contentType = contentType ?? null;
  if (deliveryMode !== undefined && deliveryMode !== PERSISTENT) stored.deliveryMode = deliveryMode;
  const left = Object.entries(headers ?? {}).filter(
    ([name, value]) => value !== undefined && !(name === HEADER.key && orderKey !== null),
  );
  if (left.length > 0) {
    stored.headers = Object.fromEntries(left.map(([name, value]) => [name, tagBytes(value)]));
    assertHeadersSize(Buffer.byteLength(JSON.stringify(stored.headers)));
  }
  return Object.keys(stored).length === 0 ? null : JSON.stringify(stored);
}

/** The properties and what becomes of the body, as they were before `storeProperties`; the defaults are filled in. */
export function restoreProperties(
  text: string | null,
): Omit<StoredProperties, 'isBase64' | 'isRequired'> & { isBase64: boolean } {
  if (text === null) return { contentType: DEFAULT_CONTENT_TYPE, deliveryMode: PERSISTENT, isBase64: false };
  const {
    isBase64 = false,
    isRequired: _isRequired,
    contentType,
    headers,
    ...others
  } = JSON.parse(text) as StoredProperties & { contentType?: string | null };
  return {
    deliveryMode: PERSISTENT,
    ...others,
    ...(contentType !== null && { contentType: contentType ?? DEFAULT_CONTENT_TYPE }),
    ...(headers !== undefined && { headers: untagBytes(headers) as Headers }),
    isBase64,
  };
}

/**
 * Whether a row whose message reaches no queue stays: one that somebody must get, or what the setting says of events. What
 * is for another's exchange (an answer, whose caller has gone) has nobody to wait for.
 */
export function isKept(text: string | null, unroutable: UnroutablePolicy): boolean {
  const { isRequired, isExchangeForeign }: StoredProperties = text === null ? {} : JSON.parse(text);
  return isRequired === true || (unroutable === 'keep' && isExchangeForeign !== true);
}

/** JSON has no byte strings: `{"$base64": "…"}`, and one more `$` before such a key that was there already. */
function tagBytes(value: HeaderValue): unknown {
  if (value instanceof Uint8Array) return { [BYTES]: Buffer.from(value).toString('base64') };
  if (Array.isArray(value)) return value.map(tagBytes);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [/^\$+base64$/.test(key) ? `$${key}` : key, tagBytes(item)]),
  );
}

function untagBytes(value: unknown): HeaderValue {
  if (Array.isArray(value)) return value.map(untagBytes);
  if (typeof value !== 'object' || value === null) return value as HeaderValue;
  const bytes = (value as Record<string, unknown>)[BYTES];
  if (typeof bytes === 'string') return Buffer.from(bytes, 'base64');
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [/^\$\$+base64$/.test(key) ? key.slice(1) : key, untagBytes(item)]),
  );
}
