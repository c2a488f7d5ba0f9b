import { deadlineMeta, readDeadline } from './deadline.ts';
import { isJsonObject, readField, requireId, requireObject, requireString } from './envelope.ts';
import { DEFAULT_JSON_LIMITS, encodePart, type JsonLimits } from './json.ts';
import { formatTime, parseTime } from './time.ts';

declare const callIdBrand: unique symbol;
/** A call's id: the peer sends numbers; an answer must carry it back in the type in which it came. */
export type CallId = (string | number) & { readonly [callIdBrand]?: true };

/** As it stands in a body; a number beyond 2^53 is a bigint. */
export type WireCallId = CallId | bigint;

/** For people's code: what is no number of JavaScript is its digits. */
export const readableId = (id: WireCallId): CallId => (typeof id === 'bigint' ? String(id) : id);

const idText = (id: WireCallId): string => (typeof id === 'bigint' ? String(id) : JSON.stringify(id));

export interface WireCall {
  readonly id: WireCallId;
  /** Exchange to which the answer goes; empty when the call names none. */
  readonly replyTo: string;
  readonly time: Date;
  readonly deadline: Date | undefined;
  readonly data: unknown;
}

/** Why a call was not answered as wished. No stack: that is the callee's own affair. */
export interface WireCallError {
  readonly code: string;
  readonly message: string;
}

export interface WireCallResponse {
  readonly id: WireCallId;
  readonly time: Date;
  /** null beside an error. */
  readonly data: unknown;
  readonly error?: WireCallError | undefined;
}

/** The routing key of an answer. */
export const callResponseKey = (service: string, method: string): string => `call-response.${service}.${method}`;

/** @param limits of its receivers @throws UnserialisablePayloadError, InvalidArgumentError */
export const encodeCall = ({ data, ...call }: WireCall, limits?: JsonLimits): string =>
  callBody(encodeQuestion(data, limits), call);

/** The data of a call as JSON text. @param limits of its receivers @throws UnserialisablePayloadError */
export const encodeQuestion = (data: unknown, limits: JsonLimits = DEFAULT_JSON_LIMITS): string =>
  encodePart(data, 'data', limits);

/** @param data see `encodeQuestion` @throws InvalidArgumentError for times that cannot be written */
export function callBody(data: string, call: Omit<WireCall, 'data'>): string {
  const meta = { replyTo: call.replyTo, time: formatTime(call.time), ...deadlineMeta(call.deadline) };
  return `{"id":${idText(call.id)},"meta":${JSON.stringify(meta)},"data":${data}}`;
}

/** @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE) */
export function decodeCall(body: unknown): WireCall {
  const envelope = requireObject(body, 'the body');
  const meta = requireObject(envelope.meta, 'meta');
  return {
    id: requireId(envelope, 'id'),
    // Callers that wait at AMQP's `reply_to` need none.
    replyTo: (readField(meta, 'replyTo') ?? '') === '' ? '' : requireString(meta, 'replyTo'),
    time: parseTime(readField(meta, 'time'), 'meta.time'),
    deadline: readDeadline(meta),
    data: envelope.data,
  };
}

/** @param limits of its receivers @throws UnserialisablePayloadError, InvalidArgumentError */
export function encodeCallResponse(response: WireCallResponse, limits: JsonLimits = DEFAULT_JSON_LIMITS): string {
  const { id, data, error, time } = response;
  const failure = error ? `,"error":${JSON.stringify({ code: error.code, message: error.message })}` : '';
  const meta = JSON.stringify({ time: formatTime(time) });
  return `{"id":${idText(id)},"data":${encodePart(data, 'data', limits)}${failure},"meta":${meta}}`;
}

/** @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE) */
export function decodeCallResponse(body: unknown): WireCallResponse {
  const envelope = requireObject(body, 'the body');
  const time = isJsonObject(envelope.meta) ? readField(envelope.meta, 'time') : undefined;
  const { error } = envelope;
  return {
    id: requireId(envelope, 'id'),
    time: parseTime(time, 'meta.time'),
    data: envelope.data,
    ...(isJsonObject(error) && { error: { code: text(error.code) || 'ERROR', message: text(error.message) } }),
  };
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
