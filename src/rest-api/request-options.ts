import type { AxiosRequestConfig } from 'axios';
import { InvalidArgumentError } from '../errors.ts';
import type { Duration } from '../util/duration.ts';
import type { RequestFormatter, ResponseFormatter } from './formatter.ts';
import type { GivenHeaders } from './headers.ts';
import type { FileToSend } from './request-body.ts';
import { RESPONSE_TYPES, type ResponseType } from './response-body.ts';

/** Axios options that are refused, and what to do instead. */
const REFUSED = {
  url: 'the first argument',
  baseURL: 'extraHost',
  allowAbsoluteUrls: 'extraHost',
  method: 'the function of that method',
  adapter: 'another client',
  env: 'another client',
  socketPath: 'another client',
  allowedSocketPaths: 'another client',
  transport: 'another client',
  httpAgent: "the client's option tls",
  httpsAgent: "the client's option tls",
  proxy: 'a host that is the proxy',
  lookup: 'the name service',
  family: 'the name service',
  beforeRedirect: 'nothing: what a redirect may carry is fixed',
  insecureHTTPParser: 'nothing: it lets requests be smuggled',
  timeout: 'timeoutMs',
  cancelToken: 'signal',
  responseEncoding: "responseType: 'arraybuffer'",
  maxRate: 'nothing: it is not supported',
  onUploadProgress: 'nothing: it is not supported',
  onDownloadProgress: 'nothing: it is not supported',
} as const satisfies Partial<Record<keyof AxiosRequestConfig, string>>;

/** Options of axios that are handed to it as they are. Those that could lead a request elsewhere are refused. */
export type AxiosOptions = Omit<
  AxiosRequestConfig<unknown, unknown>,
  keyof typeof REFUSED | 'params' | 'data' | 'headers' | 'signal' | 'responseType'
>;

/** Options of one request. */
export interface RequestOptions extends AxiosOptions {
  /** Added to the query: a list repeats its name, null and undefined are left out. */
  readonly params?: unknown;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is (text, bytes, a stream; a stream is never sent twice), or as a form (an object, FormData). */
  readonly data?: unknown;
  /** Sent as a multipart form, with `data` as further fields. */
  readonly files?: Readonly<Record<string, FileToSend | readonly FileToSend[]>> | undefined;
  readonly headers?: GivenHeaders | undefined;
  /** Another origin and base path for this request. Of another origin, it gets no token and none of the client's headers. */
  readonly extraHost?: string | undefined;
  /** Sends no token. @default false */
  readonly noAuth?: boolean | undefined;
  /** For the whole call; a number is milliseconds. @default that of the client, 10 s */
  readonly timeoutMs?: Duration | undefined;
  /** Ends the call with RestApiAbortedError when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** Applied to params, json and data. @default jsonRequest */
  readonly requestFormatter?: RequestFormatter | undefined;
  /** Makes the result of the answer. @default jsonResponse; `head`: fullResponse */
  readonly responseFormatter?: ResponseFormatter | undefined;
  /** How the body is read. @default parsed when its content type is JSON, else text */
  readonly responseType?: ResponseType | undefined;
}

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for an axios option that would break what the client promises */
export function assertNoRefusedOption(options: object): void {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(REFUSED, name) || Reflect.get(options, name) === undefined) continue;
    throw new InvalidArgumentError(
      `options.${name}`,
      REFUSED[name as keyof typeof REFUSED],
      `the axios option ${name}`,
    );
  }
}

export function assertResponseType(type: unknown): asserts type is ResponseType | undefined {
  if (type === undefined || RESPONSE_TYPES.some((known) => known === type)) return;
  throw new InvalidArgumentError('options.responseType', RESPONSE_TYPES.join(', '), String(type));
}
