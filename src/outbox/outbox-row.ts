import { validate as isUuid, v7 as uuidv7 } from 'uuid';
import { InvalidArgumentError } from '../errors.ts';
import { HEADER, MAX_BODY_BYTES, type Message } from '../message/message.ts';
import { EXPIRATION_NET_MS } from './relay-row.ts';
import { storeProperties } from './stored-properties.ts';
import { assertBodySize, assertName } from './validate.ts';

/** A message as the tables of the outbox hold it. The database's clock makes the absolute times. */
export interface NewRow {
  readonly orderKey: string | null;
  /** A UUID. */
  readonly messageId: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: string;
  /** See `storeProperties`. */
  readonly properties: string | null;
  readonly appId: string | null;
  /** Milliseconds from now on until it is not to be sent any more; null: never. */
  readonly expiresInMs: number | null;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * @param isRequired whether the row stays when its message reaches no queue
 * @throws InvalidNameError, MessageTooLargeError: nothing has been written
 */
export function messageRow(message: Message, isRequired = false, maxBodyBytes = MAX_BODY_BYTES): NewRow {
  const { exchange, routingKey, properties } = message;
  assertName('exchange', exchange, true);
  assertName('routing key', routingKey, true);
  assertBodySize(message.body.byteLength, maxBodyBytes);
  const key = properties.headers?.[HEADER.key];
  const orderKey = typeof key === 'string' && key !== '' ? key : null;
  if (orderKey !== null) assertName('key', orderKey);
  const text = asText(message.body);
  const { messageId, appId = null } = properties;
  const isOwnId = messageId !== undefined && isUuid(messageId);
  // A sender may have called itself anything: `text` of PostgreSQL holds no NUL.
  const hasNul = appId?.includes('\0') === true;
  const stored = storeProperties(properties, orderKey, {
    ...(!isOwnId && { messageId: messageId ?? null }),
    ...(hasNul && { appId }),
    ...(text === undefined && { isBase64: true as const }),
    ...(isRequired && { isRequired: true as const }),
    ...(message.isExchangeForeign && { isExchangeForeign: true as const }),
  });
  return {
    orderKey,
    messageId: isOwnId ? messageId : uuidv7(),
    exchange,
    routingKey,
    body: text ?? Buffer.from(message.body).toString('base64'),
    properties: stored,
    appId: hasNul ? null : appId,
    expiresInMs: properties.expiration === undefined ? null : remainingMs(properties.expiration),
  };
}

/** `expiration` is the time that is left and a net; the relay puts the net back on. */
function remainingMs(expiration: string): number {
  if (!/^\d{1,15}$/.test(expiration)) {
    throw new InvalidArgumentError(
      'expiration',
      'whole milliseconds as a string',
      JSON.stringify(expiration.slice(0, 40)),
    );
  }
  return Number(expiration) - EXPIRATION_NET_MS;
}

/** The bytes as text that a column holds, undefined when they are no UTF-8 or contain NUL. */
function asText(body: Uint8Array): string | undefined {
  try {
    const text = decoder.decode(body);
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}
