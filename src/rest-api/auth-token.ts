import { RestApiLoginError } from '../errors.ts';
import { Deadline } from './deadline.ts';
import { isStream, type Outgoing, type Received, type Send } from './transport.ts';

/** What services call their token. The first that is there counts. */
const TOKEN_NAMES = ['access_token', 'accessToken', 'token', 'access'] as const;
/** RFC 6750 §2.1. */
const BEARER = /^[A-Za-z0-9._~+/-]+=*$/;

export interface LoginOptions {
  /** The request to `authUrl`. */
  readonly request: Outgoing;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

/**
 * The bearer token of one origin. Callers at the same time share one login; one who goes away does not take it from the
 * others. It is kept in this object only.
 */
export class BearerToken {
  readonly origin: string;
  readonly #send: Send;
  readonly #options: LoginOptions;
  #token: string | undefined;
  #login: Promise<string> | undefined;

  constructor(send: Send, options: LoginOptions) {
    this.origin = options.request.target.origin;
    this.#send = send;
    this.#options = options;
  }

  /** @throws RestApiLoginError, and what the login request fails with */
  get(deadline: Deadline): Promise<string> {
    if (this.#token !== undefined) return Promise.resolve(this.#token);
    const { method, target } = this.#options.request;
    const line = { method, url: target.url };
    // Nobody waits for it: then no credential is sent.
    if (deadline.isOver) return Promise.reject(deadline.failure(line));
    this.#login ??= this.#logIn().finally(() => {
      this.#login = undefined;
    });
    return deadline.race(this.#login, line);
  }

  /** Whoever comes next logs in, unless another caller has replaced the token already. */
  forget(stale: string): void {
    if (this.#token === stale) this.#token = undefined;
  }

  async #logIn(): Promise<string> {
    const { request, timeoutMs, maxBytes } = this.#options;
    const deadline = new Deadline(timeoutMs, undefined);
    try {
      const token = tokenOf(await this.#send(request, { deadline, maxBytes }), request);
      this.#token = token;
      return token;
    } finally {
      deadline.dispose();
    }
  }
}

function tokenOf(received: Received, { method, target }: Outgoing): string {
  const { statusCode, body } = received;
  const fail = (detail: string) => new RestApiLoginError({ method, url: target.url }, statusCode, detail);
  if (statusCode < 200 || statusCode > 299) throw fail(`it answered with status ${statusCode}`);
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString());
  } catch {
    throw fail('its answer is no JSON');
  }
  const fields: Readonly<Record<string, unknown>> = typeof answer === 'object' && answer !== null ? { ...answer } : {};
  const name = TOKEN_NAMES.find((candidate) => typeof fields[candidate] === 'string');
  if (!name) throw fail(`its answer holds none of ${TOKEN_NAMES.join(', ')}`);
  // Some services put the scheme in front.
  const token = String(fields[name]).replace(/^Bearer +/i, '');
  if (!BEARER.test(token)) throw fail(`what it calls ${name} cannot be a bearer token`);
  return token;
}

/**
 * Adds the token to requests that go to its origin and to none else; on 401 fetches a new one and sends once more (a 401
 * says that the request was not carried out, RFC 9110 §15.5.2, so this is safe for every method). A stream is gone by then:
 * the caller gets the 401, and with the next one the new token goes.
 */
export function authorised(next: Send, token: BearerToken): Send {
  return async function sendWithToken(request, call) {
    const isWithout =
      request.isAnonymous || request.target.origin !== token.origin || 'authorization' in request.headers;
    if (isWithout) return next(request, call);
    const first = await token.get(call.deadline);
    const received = await next(withToken(request, first), call);
    if (received.statusCode !== 401) return received;
    token.forget(first);
    if (isStream(request.body)) return received;
    return next(withToken(request, await token.get(call.deadline)), call);
  };
}

const withToken = (request: Outgoing, token: string): Outgoing => ({
  ...request,
  headers: { ...request.headers, authorization: `Bearer ${token}` },
});
