import { MalformedMessageError } from '../errors.ts';
import { readField, requireId, requireObject, requireString } from './envelope.ts';
import { DEFAULT_JSON_LIMITS, encodePart, type JsonLimits } from './json.ts';
import { formatTime, parseTime } from './time.ts';

/** What is known of an event besides its payload. */
export interface EventInfo {
  /** Ours are UUIDs; a peer's may be a number, which is turned into text. */
  readonly eventId: string;
  readonly eventTime: Date;
  readonly eventType: string;
  readonly aggregate: string;
}

export interface WireEvent extends EventInfo {
  readonly payload: unknown;
}

/**
 * The body of an event: `{eventId, eventTime, eventType, aggregate, payload}`, in this order.
 * @param limits of its receivers
 * @throws UnserialisablePayloadError, InvalidArgumentError (eventTime)
 */
export function encodeEvent(event: WireEvent, limits: JsonLimits = DEFAULT_JSON_LIMITS): string {
  const { eventId, eventType, aggregate } = event;
  const head = JSON.stringify({ eventId, eventTime: formatTime(event.eventTime, 'eventTime'), eventType, aggregate });
  return `${head.slice(0, -1)},"payload":${encodePart(event.payload, 'payload', limits)}}`;
}

/** @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE) when the parsed body is no event */
export function decodeEvent(body: unknown): { event: EventInfo; payload: unknown } {
  const envelope = requireObject(body, 'the body');
  if (!Object.hasOwn(envelope, 'payload')) throw new MalformedMessageError('no-envelope', 'payload is missing');
  return {
    event: {
      eventId: String(requireId(envelope, 'eventId')),
      eventTime: parseTime(readField(envelope, 'eventTime'), 'eventTime'),
      eventType: requireString(envelope, 'eventType'),
      aggregate: requireString(envelope, 'aggregate'),
    },
    payload: envelope.payload,
  };
}
