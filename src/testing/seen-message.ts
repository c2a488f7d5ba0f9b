import { parseFailures } from '../consumer/failures.ts';
import type { RoutedMessage } from '../embedded/broker/routed-message.ts';
import { HEADER } from '../message/message.ts';

/** A message that went to the broker. */
export interface PublishedMessage {
  readonly exchange: string;
  readonly routingKey: string;
  /** The parsed JSON; the text when it is none. */
  readonly body: unknown;
  /** The payload of an event; of other messages the body. */
  readonly payload: unknown;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly messageId: string | undefined;
  readonly correlationId: string | undefined;
}

/** A message that was given up. */
export interface DeadMessage extends PublishedMessage {
  /** One word: `attempts`, `rejected`, `malformed`, … */
  readonly reason: string | undefined;
  readonly handler: string | undefined;
  /** What the last run failed with. */
  readonly error: string | undefined;
}

export function publishedMessage(message: RoutedMessage): PublishedMessage {
  const { exchange, routingKey, headers, messageId, correlationId } = message;
  const body = parsed(message.body);
  return { exchange, routingKey, body, payload: payloadOf(body), headers, messageId, correlationId };
}

/** A copy on its way to the dead letters, with the exchange and routing key that the message first had. */
export function deadMessage(message: RoutedMessage): DeadMessage {
  const { headers } = message;
  const failures = text(headers[HEADER.failures]);
  return {
    ...publishedMessage(message),
    exchange: text(headers[HEADER.exchange]) ?? message.exchange,
    routingKey: text(headers[HEADER.routingKey]) ?? message.routingKey,
    reason: text(headers[HEADER.reason]),
    handler: text(headers[HEADER.handler]),
    error: parseFailures(failures).at(-1)?.message,
  };
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return body.toString();
  }
}

/** The envelope of an event has both; a command's arguments may have one of the names. */
const payloadOf = (body: unknown): unknown =>
  typeof body === 'object' && body !== null && 'payload' in body && ('eventId' in body || 'event_id' in body)
    ? body.payload
    : body;

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
