import { deadlineMeta, readDeadline } from './deadline.ts';
import { isJsonObject, readField, requireId, requireObject, requireString } from './envelope.ts';
import { encodeJson } from './json.ts';
import { formatTime, parseTime } from './time.ts';

declare const callIdBrand: unique symbol;
/** A call's id: the peer sends numbers; an answer must carry it back in the type in which it came. */
export type CallId = (string | number) & { readonly [callIdBrand]?: true };

export interface WireCall {
  readonly id: CallId;
  /** Exchange to which the answer goes. */
  readonly replyTo: string;
  readonly time: Date;
  readonly deadline: Date | undefined;
  readonly data: unknown;
}

export interface WireCallResponse {
  readonly id: CallId;
  readonly time: Date;
  readonly data: unknown;
}

/** The routing key of an answer. */
export const callResponseKey = (service: string, method: string): string => `call-response.${service}.${method}`;

/** @throws UnserialisablePayloadError, InvalidArgumentError */
export function encodeCall(call: WireCall): string {
  const meta = { replyTo: call.replyTo, time: formatTime(call.time), ...deadlineMeta(call.deadline) };
  return `{"id":${JSON.stringify(call.id)},"meta":${JSON.stringify(meta)},"data":${encodeJson(call.data, 'data')}}`;
}

/** @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE) */
export function decodeCall(body: unknown): WireCall {
  const envelope = requireObject(body, 'the body');
  const meta = requireObject(envelope.meta, 'meta');
  return {
    id: requireId(envelope, 'id'),
    replyTo: requireString(meta, 'replyTo'),
    time: parseTime(readField(meta, 'time'), 'meta.time'),
    deadline: readDeadline(meta),
    data: envelope.data,
  };
}

/** @throws UnserialisablePayloadError, InvalidArgumentError */
export function encodeCallResponse(response: WireCallResponse): string {
  const meta = JSON.stringify({ time: formatTime(response.time) });
  return `{"id":${JSON.stringify(response.id)},"data":${encodeJson(response.data, 'data')},"meta":${meta}}`;
}

/** @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE) */
export function decodeCallResponse(body: unknown): WireCallResponse {
  const envelope = requireObject(body, 'the body');
  const time = isJsonObject(envelope.meta) ? readField(envelope.meta, 'time') : undefined;
  return { id: requireId(envelope, 'id'), time: parseTime(time, 'meta.time'), data: envelope.data };
}
