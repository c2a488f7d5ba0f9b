import type { RoutedMessage } from '../embedded/broker/routed-message.ts';
import { HEADER } from '../message/message.ts';

/** A message that went to the broker. */
export interface PublishedMessage {
  readonly exchange: string;
  readonly routingKey: string;
  /** The parsed JSON, or the text when it is none. */
  readonly body: unknown;
  /** The payload of an event, else the body. */
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

export function publishedMessage({ exchange, routingKey, body, properties }: RoutedMessage): PublishedMessage {
  const parsed = parse(body);
  return {
    exchange,
    routingKey,
    body: parsed,
    payload: isEvent(parsed) ? parsed.payload : parsed,
    headers: properties.headers,
    messageId: properties.messageId,
    correlationId: properties.correlationId,
  };
}
