import { asGiven } from './rest-api/as-given.ts';
import type { HeadVerb, RestClient, Verb } from './rest-api/client.ts';
import type { RequestOptions } from './rest-api/request-options.ts';
import { sendingStream } from './rest-api/sent-stream.ts';

/**
 * The door `svc-comm/rest-api`: the methods of the client that the project's settings describe (`restApi`), and
 * `createRestClient` for others.
 */

// Loaded when they are first asked for: who only makes clients of his own needs neither broker nor database.
async function settingsClient(): Promise<RestClient> {
  const { defaultService } = await import('./default-service.ts');
  return (await defaultService()).restClient();
}

const verb =
  (method: 'get' | 'post' | 'put' | 'patch' | 'delete'): Verb =>
  (path: string, options?: RequestOptions) =>
    sendingStream(options?.data, async () => {
      const given = asGiven(options);
      return (await settingsClient())[method]<never>(path, given as undefined);
    });

/**
 * GET below `restApi.host`; gives the parsed body.
 * @throws what {@link RestClient} throws; SettingsError (SVC_COMM_SETTINGS) without `restApi`
 * @example
 * const subject = await get<Subject>('api/v1/subjects/1');
 */
export const get: Verb = verb('get');

/** POST below `restApi.host`; gives the parsed body. Sent once, unless it has an `Idempotency-Key`. See {@link get}. */
export const post: Verb = verb('post');

/** PUT below `restApi.host`; gives the parsed body. See {@link get}. */
export const put: Verb = verb('put');

/** PATCH below `restApi.host`; gives the parsed body. Sent once, unless it has an `Idempotency-Key`. See {@link get}. */
export const patch: Verb = verb('patch');

/** DELETE below `restApi.host`; gives the parsed body. Also exported as `delete`. See {@link get}. */
export const del: Verb = verb('delete');

/** HEAD below `restApi.host`; gives the whole answer. See {@link get}. */
export const head: HeadVerb = async (path: string, options?: RequestOptions) => {
  const given = asGiven(options);
  return (await settingsClient()).head<never>(path, given as never);
};

export {
  RestApiAbortedError,
  RestApiBadGatewayError,
  RestApiBadRequestError,
  RestApiCircuitOpenError,
  RestApiClientError,
  RestApiConnectionError,
  RestApiError,
  RestApiForbiddenError,
  RestApiGatewayTimeoutError,
  RestApiLoginError,
  RestApiNotFoundError,
  RestApiRedirectError,
  RestApiResponseTooLargeError,
  RestApiServerError,
  RestApiTimeoutError,
  RestApiUnauthorizedError,
  RestApiUnreadableResponseError,
} from './errors.ts';
export type { HeadVerb, RestClient, Verb } from './rest-api/client.ts';
export { createRestClient } from './rest-api/client.ts';
export type { RequestFormatter, RequestPart, ResponseFormatter, RestResponse } from './rest-api/formatter.ts';
export type { BreakerOptions, RestClientOptions, RetryOptions } from './rest-api/options.ts';
export type { FileContent, FileToSend } from './rest-api/request-body.ts';
export type { RequestOptions } from './rest-api/request-options.ts';
export type { Outcome, SilentOptions } from './rest-api/silent.ts';
export { silent } from './rest-api/silent.ts';
export { del as delete };
