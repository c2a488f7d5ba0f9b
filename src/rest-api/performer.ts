import { Axios, type AxiosRequestConfig, type AxiosResponse } from 'axios';
import { MessageTooLargeError, type RequestLine } from '../errors.ts';
import { currentCorrelation } from '../util/correlation.ts';
import { Deadline } from './deadline.ts';
import { statusError } from './failure.ts';
import { jsonRequest, type RequestPart, type ResponseFormatter, type RestResponse } from './formatter.ts';
import { checkedHeaders, correlationHeaders } from './headers.ts';
import { positiveMs, type ResolvedRestClientOptions } from './options.ts';
import { Pipeline } from './pipeline.ts';
import { encodeParams } from './query.ts';
import { refusal } from './redirect.ts';
import { type EncodedBody, encodeBody, encodeData } from './request-body.ts';
import { assertNoRefusedOption, assertResponseType, type RequestOptions } from './request-options.ts';
import { ACCEPTED_ENCODINGS, decompressed, type ResponseType, readBody, readErrorBody } from './response-body.ts';
import { BaseUrl, type Target } from './target.ts';
import { type Call, type Outgoing, type Received, Transport } from './transport.ts';

const isSuccess = (status: number): boolean => status >= 200 && status < 300;

/** Carries out calls: checks and formats, hands the request to axios, and is the adapter that axios sends it through. */
export class Performer {
  readonly #options: ResolvedRestClientOptions;
  readonly #base: BaseUrl;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #transport: Transport;
  readonly #pipeline: Pipeline;
  // Bare: its defaults are for browsers and for sending, which is not done here.
  readonly #axios = new Axios({});

  constructor(options: ResolvedRestClientOptions) {
    this.#headers = checkedHeaders(options.headers);
    this.#options = { ...options, headers: this.#headers };
    this.#base = new BaseUrl(options.host);
    this.#transport = new Transport(options);
    this.#pipeline = new Pipeline(this.#transport.send, this.#base, this.#options);
  }

  async perform<Result>(
    method: string,
    path: string,
    options: RequestOptions,
    format: ResponseFormatter<Result>,
  ): Promise<Result> {
    assertNoRefusedOption(options);
    const type = options.responseType ?? format.responseType;
    assertResponseType(type);
    const { params, json, data, files, headers, extraHost, noAuth, timeoutMs, signal, ...rest } = options;
    const { requestFormatter = jsonRequest, responseFormatter: _, responseType: __, ...axiosOptions } = rest;
    const formatted = (value: unknown, part: RequestPart) =>
      value === undefined ? value : requestFormatter(value, part);

    const base = extraHost === undefined ? this.#base : new BaseUrl(extraHost, 'extraHost');
    const query = encodeParams(formatted(params, 'params'), axiosOptions.paramsSerializer, this.#axios);
    const target = base.resolve(path, query);
    const parts = { json: formatted(json, 'json'), data: formatted(data, 'data'), files };
    const { transformRequest } = axiosOptions;
    const raw = transformRequest ? (parts.json ?? parts.data) : undefined;
    const encoded = transformRequest ? { body: undefined, contentType: undefined } : await encodeBody(parts);
    const prepared: Prepared = {
      method,
      target,
      headers: this.#requestHeaders(target, headers ?? {}, axiosOptions, type),
      encoded,
      isAnonymous: noAuth === true,
      type,
      axiosOptions,
    };
    const call: Call = {
      deadline: new Deadline(positiveMs(timeoutMs ?? this.#options.timeoutMs, 'timeoutMs'), signal),
      maxBytes: mostBytes(axiosOptions.maxContentLength, this.#options.maxResponseBytes),
    };
    try {
      const response = await this.#axios.request<unknown, RestResponse>({
        ...axiosOptions,
        method,
        url: target.url,
        data: raw,
        ...(transformRequest ? { headers: prepared.headers } : {}),
        adapter: (config) => this.#adapt(config, prepared, call),
      } as AxiosRequestConfig);
      return await format(plain(response, method, target));
    } finally {
      call.deadline.dispose();
    }
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  /** The axios adapter of one call. What it rejects with, axios passes on as it is. */
  async #adapt(
    config: Pick<AxiosRequestConfig, 'data' | 'headers'>,
    prepared: Prepared,
    call: Call,
  ): Promise<AxiosResponse> {
    const { method, target, axiosOptions, type } = prepared;
    const transformed = axiosOptions.transformRequest ? await encodeData(config.data) : undefined;
    const { body, contentType } = transformed ?? prepared.encoded;
    const given = transformed ? checkedHeaders({ ...config.headers }) : prepared.headers;
    assertBodySize(body, axiosOptions.maxBodyLength);
    const request: Outgoing = {
      method,
      target,
      headers: contentType === undefined || 'content-type' in given ? given : { ...given, 'content-type': contentType },
      body,
      isAnonymous: prepared.isAnonymous,
    };
    const received = await this.#pipeline.send(axiosOptions.maxRedirects ?? 0)(request, call);
    const { decompress = false, validateStatus = isSuccess } = axiosOptions;
    const limits = { decompress, maxBytes: call.maxBytes };
    const line: RequestLine = { method, url: received.target.url };
    if (validateStatus && !validateStatus(received.statusCode))
      throw await this.#refused(request, received, line, limits);
    const content = await decompressed(received, line, limits);
    const readAs = axiosOptions.transformResponse ? (type === 'arraybuffer' ? type : 'text') : type;
    return {
      data: method === 'HEAD' ? undefined : readBody(content, received, line, readAs),
      status: received.statusCode,
      statusText: received.statusText,
      headers: received.headers as AxiosResponse['headers'],
      config: { headers: {} } as AxiosResponse['config'],
    };
  }

  async #refused(
    request: Outgoing,
    received: Received,
    line: RequestLine,
    limits: { readonly decompress: boolean; readonly maxBytes: number },
  ): Promise<Error> {
    const { statusCode } = received;
    if (statusCode >= 300 && statusCode < 400) {
      return refusal({ ...request, target: received.target }, received, 'redirects are off unless maxRedirects is set');
    }
    return statusError(line, { statusCode, body: await readErrorBody(received, line, limits) });
  }

  /** The caller's own come last, so that they win. */
  #requestHeaders(
    target: Target,
    given: NonNullable<RequestOptions['headers']>,
    { auth, decompress }: RequestOptions,
    type: ResponseType | undefined,
  ): Record<string, string> {
    const isHome = target.origin === this.#base.origin;
    return {
      accept: type === 'arraybuffer' || type === 'text' ? '*/*' : 'application/json, */*;q=0.5',
      ...(decompress ? { 'accept-encoding': ACCEPTED_ENCODINGS } : {}),
      ...correlationHeaders(currentCorrelation()),
      ...(isHome ? this.#headers : {}),
      ...(auth ? { authorization: `Basic ${btoaUtf8(`${auth.username}:${auth.password}`)}` } : {}),
      ...checkedHeaders(given),
    };
  }
}

/** A call when all of it has been checked. */
interface Prepared {
  readonly method: string;
  readonly target: Target;
  readonly headers: Readonly<Record<string, string>>;
  readonly encoded: EncodedBody;
  readonly isAnonymous: boolean;
  readonly type: ResponseType | undefined;
  readonly axiosOptions: Omit<RequestOptions, 'headers' | 'signal'>;
}

function plain(response: RestResponse, method: string, target: Target): RestResponse {
  const { status, statusText, headers, data } = response;
  return { status, statusText, headers: { ...headers }, data, method, url: target.url };
}

/** Axios has -1 for "no limit"; ours stays. */
function mostBytes(given: number | undefined, limit: number): number {
  return given === undefined || given < 0 ? limit : given;
}

function assertBodySize(body: Outgoing['body'], limit: number | undefined): void {
  if (limit === undefined || limit < 0 || (typeof body !== 'string' && !Buffer.isBuffer(body))) return;
  const bytes = Buffer.byteLength(body);
  if (bytes > limit) throw new MessageTooLargeError('request body', bytes, limit);
}

const btoaUtf8 = (text: string): string => Buffer.from(text).toString('base64');
