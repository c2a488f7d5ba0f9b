import { HEADER, type Message, type MessageProperties } from '../message/message.ts';
import type { LeaseGrant } from './lease-grant.ts';
import { restoreProperties } from './stored-properties.ts';

/** A row of the outbox as the relay holds it. */
export interface OutboxRow {
  readonly id: number;
  readonly key: string | null;
  readonly grant: LeaseGrant;
  readonly messageId: string;
  readonly exchange: string;
  readonly routingKey: string;
  /** JSON text; emptied once it is sent, to hold less. */
  body: string;
  /** JSON of the properties that are not the defaults. */
  readonly properties: string | null;
  readonly appId: string | null;
  /** Seconds since the epoch. */
  readonly createdAt: number;
  /** On the monotonic clock; null: never. */
  readonly expiresAtMs: number | null;
  readonly attempts: number;
  /** Ends the span of its send, when there is one. */
  endSpan?: ((error?: Error) => void) | undefined;
}

/**
 * The broker drops it so long after the deadline: a net against pile-up only. The consumer's own check of the deadline
 * decides and counts, and must see it.
 */
export const EXPIRATION_NET_MS = 60_000;
/** AMQP carries no longer one; the channel would close. */
const MAX_EXPIRATION_MS = 4_294_967_295;

/**
 * The message of a row, as it goes to the broker. The body is the row's text, byte for byte.
 * @throws SyntaxError when the row's properties are no JSON
 */
export function rowMessage(row: OutboxRow, nowMs: number): Message {
  const { isBase64, isExchangeForeign, messageId, ...given } = restoreProperties(row.properties);
  const properties: { -readonly [Name in keyof MessageProperties]: MessageProperties[Name] } = given;
  properties.messageId = messageId === null ? undefined : (messageId ?? row.messageId);
  properties.timestamp ??= Math.floor(row.createdAt);
  if (row.appId !== null) properties.appId = row.appId;
  if (row.key !== null) properties.headers = { ...given.headers, [HEADER.key]: row.key };
  if (row.expiresAtMs !== null) properties.expiration = expiration(row.expiresAtMs - nowMs);
  return {
    exchange: row.exchange,
    routingKey: row.routingKey,
    body: Buffer.from(row.body, isBase64 ? 'base64' : 'utf8'),
    properties,
    ...(isExchangeForeign && { isExchangeForeign }),
  };
}

function expiration(remainingMs: number): string | undefined {
  const ms = Math.ceil(remainingMs) + EXPIRATION_NET_MS;
  return ms > MAX_EXPIRATION_MS ? undefined : String(ms);
}
