import { InvalidArgumentError, MessageTooLargeError } from '../errors.ts';
import { assertSignal } from '../util/assert-object.ts';
import { copyOf } from './as-given.ts';
import { serializedParams } from './axios-way.ts';
import { jsonRequest, type RequestPart } from './formatter.ts';
import { addCorrelation, addHeaders } from './headers.ts';
import { encodeParams } from './query.ts';
import { type EncodedBody, encodeBody } from './request-body.ts';
import {
  type AxiosOptions,
  assertNoRefusedOption,
  assertResponseType,
  type RequestOptions,
} from './request-options.ts';
import { ACCEPTED_ENCODINGS, type ResponseType } from './response-body.ts';
import { limitedStream } from './sent-stream.ts';
import { BaseUrl } from './target.ts';
import { isStream, type Outgoing } from './transport.ts';

/** A request when all of it has been checked and formatted. */
export interface Prepared {
  readonly request: Outgoing;
  readonly type: ResponseType | undefined;
  /** undefined: there is nothing for axios to do. */
  readonly axiosOptions: AxiosOptions | undefined;
  /** The body before it is encoded, where axios is to transform it. */
  readonly raw: unknown;
}

/** What the client adds to each request. */
export interface Home {
  readonly base: BaseUrl;
  /** Sent to its origin only. */
  readonly headers: Readonly<Record<string, string>>;
}

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT), UnserialisablePayloadError, MessageTooLargeError */
export async function prepare(
  home: Home,
  method: string,
  path: string,
  options: RequestOptions,
  formatterType: ResponseType | undefined,
): Promise<Prepared> {
  assertNoRefusedOption(options);
  assertSignal(options.signal);
  const { params, json, data, files, headers, extraHost, noAuth, timeoutMs, signal, ...rest } = options;
  const { requestFormatter = jsonRequest, responseFormatter, responseType, ...axiosOptions } = rest;
  const type = responseType ?? formatterType;
  assertResponseType(type);
  const formatted = (value: unknown, part: RequestPart) =>
    value === undefined ? value : requestFormatter(value, part);

  const base = extraHost === undefined ? home.base : new BaseUrl(extraHost, 'extraHost');
  const values = params == null ? undefined : formatted(params, 'params');
  const parts = { json: formatted(json, 'json'), data: formatted(data, 'data'), files };
  const isTransformed = axiosOptions.transformRequest !== undefined;
  if (isTransformed && files) throw new InvalidArgumentError('files', 'no files beside transformRequest', 'both');
  const own = requestHeaders(home, base, options, type);
  // All is written down before anything is awaited: what becomes of it meanwhile is not what was given.
  const encoding = isTransformed ? toBeTransformed(parts) : encodeBody(parts);
  // Should the query be refused, nobody waits for it.
  if (encoding instanceof Promise) encoding.catch(() => undefined);
  const asked = params == null ? '' : queryOf(values, axiosOptions);
  const query = asked instanceof Promise ? await asked : asked;
  // Most bodies need no await.
  const encoded = encoding instanceof Promise ? await encoding : encoding;
  const target = base.resolve(path, query);
  const body = limitedBody(encoded.body, axiosOptions.maxBodyLength);
  const request: Outgoing = {
    method,
    target,
    headers: encoded.contentType === undefined ? own : { 'content-type': encoded.contentType, ...own },
    body,
    isAnonymous: noAuth === true,
  };
  const isForAxios = Object.keys(axiosOptions).length > 0;
  const raw = isTransformed ? (parts.json ?? parts.data) : undefined;
  return { request, type, axiosOptions: isForAxios ? axiosOptions : undefined, raw };
}

const queryOf = (params: unknown, { paramsSerializer }: AxiosOptions): string | Promise<string> =>
  paramsSerializer ? serializedParams(copyOf(params), paramsSerializer) : encodeParams(params);

/** Axios makes the body; of one without a type it would say that it is a form. */
const toBeTransformed = ({ json }: { readonly json: unknown }): EncodedBody => ({
  body: undefined,
  contentType: json === undefined ? undefined : 'application/json',
});

/** The caller's own come last, so that they win. */
function requestHeaders(
  home: Home,
  { origin }: BaseUrl,
  { headers, auth, decompress }: RequestOptions,
  type: ResponseType | undefined,
): Record<string, string> {
  const result: Record<string, string> = {
    accept: type === 'arraybuffer' || type === 'text' ? '*/*' : 'application/json, */*;q=0.5',
  };
  if (decompress) result['accept-encoding'] = ACCEPTED_ENCODINGS;
  addCorrelation(result);
  if (origin === home.base.origin) Object.assign(result, home.headers);
  if (auth) result.authorization = `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;
  if (headers) addHeaders(result, headers);
  return result;
}

/**
 * A body that is no longer than this; a stream fails where it becomes so.
 * @param limit axios has -1 for "no limit"
 * @throws MessageTooLargeError (SVC_COMM_MESSAGE_TOO_LARGE)
 */
export function limitedBody(body: Outgoing['body'], limit: number | undefined): Outgoing['body'] {
  if (limit === undefined || limit < 0 || body === undefined) return body;
  if (isStream(body)) return limitedStream(body, limit);
  const bytes = Buffer.byteLength(body);
  if (bytes > limit) throw new MessageTooLargeError('request body', bytes, limit);
  return body;
}
