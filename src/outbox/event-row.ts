import { v7 as uuidv7 } from 'uuid';
import { InvalidArgumentError, InvalidNameError } from '../errors.ts';
import { BUILT_IN_EXCHANGES } from '../message/topology.ts';
import { assertKnownNames, assertObject, kindOf } from '../util/assert-object.ts';
import { currentCorrelation } from '../util/correlation.ts';
import { topicWords } from '../util/topic-pattern.ts';
import { traceHeaders } from '../util/trace-context.ts';
import { encodeEvent } from '../wire/event.ts';
import { DEFAULT_JSON_LIMITS, type JsonLimits } from '../wire/json.ts';
import type { NewRow } from './outbox-row.ts';
import { DEFAULT_CONTENT_TYPE, storeProperties } from './stored-properties.ts';
import { assertBodySize, assertName } from './validate.ts';

/** Something that happened to an aggregate, told to whoever listens. */
export interface AggregateEvent<Payload = unknown> {
  /** Kind of the thing, and the exchange: `order`. */
  readonly aggregate: string;
  /** What happened, and the routing key: `create.base`. */
  readonly eventType: string;
  /** What JSON can carry. It is never re-cased. */
  readonly payload: Payload;
  /** The aggregate's id: events of one key are delivered in commit order. @default none: no order is kept */
  readonly key?: string | number | bigint | undefined;
}

/** With those of a future event: who builds either may leave them undefined in one that is published now. */
const EVENT_NAMES = ['aggregate', 'eventType', 'payload', 'key', 'eventTime', 'tags'] as const;

/**
 * Where an event goes.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for what is no object; its names are not looked at yet
 */
export function destinationOf(event: AggregateEvent): { readonly exchange: string; readonly routingKey: string } {
  assertObject('event', event, 'an object with aggregate, eventType and payload');
  return { exchange: event.aggregate, routingKey: event.eventType };
}

/**
 * A future event is one of these to the compiler. Published here it would go out at once, and no cancel would find it.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function assertNotFuture(event: AggregateEvent): void {
  assertObject('event', event, 'an object with aggregate, eventType and payload');
  const { eventTime, tags } = event as Partial<Record<'eventTime' | 'tags', unknown>>;
  const name = eventTime !== undefined ? 'eventTime' : tags !== undefined ? 'tags' : undefined;
  if (name === undefined) return;
  throw new InvalidArgumentError(name, 'none of an event that is published now: publishFutureAggregateEvent', 'one');
}

/**
 * The row of an event, all checks done. Its `messageId` is the event's id.
 * @param eventTime when it happened, or is to happen
 * @param limits of its receivers
 * @throws InvalidNameError, InvalidArgumentError, UnserialisablePayloadError, MessageTooLargeError: nothing has been written
 */
export function eventRow(
  event: AggregateEvent,
  eventTime: Date,
  appId: string,
  limits: JsonLimits = DEFAULT_JSON_LIMITS,
): NewRow {
  const { exchange: aggregate, routingKey: eventType } = destinationOf(event);
  // A misspelt key would keep no order, and by misspelt tags no cancel would find it.
  assertKnownNames('event', event, EVENT_NAMES);
  const { payload } = event;
  assertName('aggregate', aggregate);
  assertNotReserved(aggregate);
  assertName('eventType', eventType);
  assertNoPattern(eventType);
  const orderKey = keyText(event.key) ?? null;
  const eventId = uuidv7();
  const body = encodeEvent({ eventId, eventTime, eventType, aggregate, payload }, limits);
  assertBodySize(Buffer.byteLength(body), limits.bodyBytes);
  return {
    orderKey,
    messageId: eventId,
    exchange: aggregate,
    routingKey: eventType,
    body,
    properties: correlationProperties(orderKey),
    appId,
    expiresInMs: null,
  };
}

function correlationProperties(orderKey: string | null): string | null {
  const correlationId = currentCorrelation()?.correlationId;
  return storeProperties({ contentType: DEFAULT_CONTENT_TYPE, correlationId, headers: traceHeaders() }, orderKey);
}

function keyText(key: unknown): string | undefined {
  if (key === undefined) return undefined;
  if (typeof key !== 'string' && typeof key !== 'number' && typeof key !== 'bigint') {
    throw new InvalidArgumentError('key', 'a string or a number, the id of the aggregate', kindOf(key));
  }
  // What became of a missing id: events of all its aggregates would share a key.
  if (typeof key === 'number' && !Number.isFinite(key)) {
    throw new InvalidArgumentError('key', 'a string or a number, the id of the aggregate', String(key));
  }
  const text = String(key);
  assertName('key', text);
  return text;
}

/** AMQP 0-9-1, exchange.declare, rule "reserved": nobody can make an exchange of that name, so its event would never leave. */
function assertNotReserved(aggregate: string): void {
  if (!aggregate.startsWith('amq.') || BUILT_IN_EXCHANGES.has(aggregate)) return;
  throw new InvalidNameError(
    'aggregate',
    aggregate,
    'begins with "amq.", which the broker keeps for its own exchanges',
  );
}

/** The broker would take a `*` or `#` for the word itself, which no consumer of events is bound to by name. */
function assertNoPattern(eventType: string): void {
  const wildcard = topicWords(eventType).find((word) => word === '*' || word === '#');
  if (wildcard === undefined) return;
  throw new InvalidNameError('eventType', eventType, `has ${wildcard} as a word: patterns are for consuming`);
}
