import { authorised, BearerToken } from './auth-token.ts';
import { breakers } from './breakers.ts';
import type { ResolvedRestClientOptions } from './options.ts';
import { redirects } from './redirect.ts';
import { retry } from './retry.ts';
import type { BaseUrl } from './target.ts';
import type { Send } from './transport.ts';

/**
 * What is around the transport, from the outside: again when it failed, where a redirect leads, with the token, unless
 * the host is left alone. Each is a function from Send to Send.
 */
export class Pipeline {
  readonly #withToken: Send;
  readonly #options: ResolvedRestClientOptions;
  /** Nearly every call's way. */
  readonly #withoutRedirects: Send;

  constructor(transport: Send, base: BaseUrl, options: ResolvedRestClientOptions) {
    this.#options = options;
    const guarded = options.breaker ? breakers(transport, options.breaker, options.logger) : transport;
    this.#withToken = options.login ? authorised(guarded, bearerToken(guarded, base, options)) : guarded;
    this.#withoutRedirects = retry(this.#withToken, options.retry);
  }

  /** The way of one call. */
  send(maxRedirects: number): Send {
    if (maxRedirects === 0) return this.#withoutRedirects;
    return retry(redirects(this.#withToken, maxRedirects), this.#options.retry);
  }
}

function bearerToken(send: Send, base: BaseUrl, options: ResolvedRestClientOptions): BearerToken {
  const { timeoutMs, maxResponseBytes } = options;
  const { path = '', credential = {} } = options.login ?? {};
  const request = {
    method: 'POST',
    target: base.resolve(path),
    headers: { ...options.headers, accept: 'application/json', 'content-type': 'application/json' },
    body: JSON.stringify(credential),
  };
  return new BearerToken(send, { request, timeoutMs, maxBytes: maxResponseBytes });
}
