import { assertObject } from '../util/assert-object.ts';
import { fullResponse, jsonResponse, type ResponseFormatter, type RestResponse } from './formatter.ts';
import { type ResolvedRestClientOptions, type RestClientOptions, resolveRestClientOptions } from './options.ts';
import { Performer } from './performer.ts';
import type { RequestOptions } from './request-options.ts';

type WithoutFormatter = RequestOptions & { readonly responseFormatter?: undefined };
type WithFormatter<Result> = RequestOptions & { readonly responseFormatter: ResponseFormatter<Result> };

/** A method of HTTP. What it gives is what the response formatter makes; without one, what the caller says of the body. */
export interface Verb {
  <Body = unknown>(path: string, options?: WithoutFormatter): Promise<Body>;
  <Result>(path: string, options: WithFormatter<Result>): Promise<Result>;
}

/** The same for `head`, which gives the whole answer unless it has a formatter. */
export interface HeadVerb {
  (path: string, options?: WithoutFormatter): Promise<RestResponse>;
  <Result>(path: string, options: WithFormatter<Result>): Promise<Result>;
}

/**
 * A client of one REST API: keep-alive connections, one deadline for a whole call, retries where they are safe, a
 * breaker for each host, a bearer token that no other origin sees. Made by `createRestClient`.
 *
 * Every method takes a path below `host` and throws RestApiError (its classes are in docs/errors.md),
 * InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for a path that leads elsewhere or an option that it does not take,
 * and UnserialisablePayloadError (SVC_COMM_UNSERIALISABLE_PAYLOAD) for what JSON cannot carry.
 */
export class RestClient {
  readonly #performer: Performer;

  constructor(options: ResolvedRestClientOptions) {
    this.#performer = new Performer(options);
  }

  readonly get: Verb = this.#verb('GET');
  readonly post: Verb = this.#verb('POST');
  readonly put: Verb = this.#verb('PUT');
  readonly patch: Verb = this.#verb('PATCH');
  readonly delete: Verb = this.#verb('DELETE');
  /** `delete`, for where that word cannot stand. */
  readonly del: Verb = this.delete;
  readonly head: HeadVerb = (path: string, options: RequestOptions = {}) =>
    this.#performer.perform('HEAD', path, options, () => fullResponse) as Promise<never>;

  /** Takes no more requests, waits for those under way and closes the connections. */
  close(): Promise<void> {
    return this.#performer.close();
  }

  #verb(method: string): Verb {
    return (path: string, options: RequestOptions = {}) =>
      this.#performer.perform(method, path, options, defaultFormatter) as Promise<never>;
  }
}

/** Who says how the body is to be read wants it as it was read. */
const defaultFormatter = ({ responseType }: RequestOptions): ResponseFormatter =>
  responseType === undefined ? jsonResponse : ({ data }) => data;

/**
 * A client of its own, for those who do not want the one of the settings: several APIs in a process, options made in
 * code.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 * @example
 * const api = createRestClient({ host: 'https://api.example.com', authUrl: 'api/v1/login', username, password });
 * const subject = await api.get<Subject>('api/v1/subjects/1');
 */
export function createRestClient(options: RestClientOptions): RestClient {
  assertObject('options', options);
  return new RestClient(resolveRestClientOptions(options));
}
