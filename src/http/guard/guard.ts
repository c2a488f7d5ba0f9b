import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { RestApiError } from '../../errors.ts';
import { hasTwoHosts, isAllowedHost } from '../../util/hosts.ts';
import { DEFAULT_JSON_LIMITS } from '../../wire/json.ts';
import { EVERYBODY, setCaller } from '../caller.ts';
import { openApi } from '../openapi/collector.ts';
import { answerError, HttpProblem, problemOf } from '../problem.ts';
import { bodyProblem, parseBodies } from './body.ts';
import { Guesses, isRefusal, type Refusal, type Verdict } from './guesses.ts';
import { refuseOpenAddress } from './listen.ts';
import { type Authenticate, callerFrom, type GuardOptions, type ResolvedGuard, resolveGuard } from './options.ts';
import { isForeignGet, isForeignOrigin } from './origin.ts';
import { basicPassword, bearerToken, tokenCheck } from './token.ts';
import { TokenBuckets } from './token-bucket.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the guard is told of a route. */
    svcComm?: RouteTraits;
  }
}

export interface RouteTraits {
  /** For those who look whether the server lives: no token is asked for, nothing is counted. */
  readonly isOpen?: boolean;
  /** A GET that does something. */
  readonly hasEffects?: boolean;
  /** A page that a person opens in a browser, which can ask for a password and for nothing else. */
  readonly takesBasic?: boolean;
}

const GUARDED = Symbol('svc-comm guard');
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

const HEADERS = Object.entries({
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
});

/**
 * Fastify plugin: guards every route of the scope that it is registered in, and of the scopes in it. The other plugins
 * bring a guard of their own where there is none.
 * @example await app.register(guard, { token: process.env.TOKEN, allowedHosts: ['api.example.com'] });
 */
export const guard: FastifyPluginAsync<GuardOptions> = async (scope, options) => addGuard(scope, options);
// Fastify's sign that a plugin is for the scope that registers it, not for one of its own.
Object.assign(guard, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: 'svc-comm guard' });

/**
 * Guards the scope of one of our plugins, unless an outer one does and nothing else is asked for.
 * @param onError answers what goes wrong in the scope
 */
export function guardScope(scope: FastifyInstance, options?: GuardOptions, onError: ErrorAnswer = answerError): void {
  scope.setErrorHandler(onError);
  if (options !== undefined || !scope.hasDecorator(GUARDED)) addGuard(scope, options ?? {});
}

/** The scope may be an application's own: what its routes throw is answered by its own error handler, whichever that is. */
function addGuard(scope: FastifyInstance, options: GuardOptions): void {
  const resolved = resolveGuard(options);
  if (!scope.hasDecorator(GUARDED)) scope.decorate(GUARDED, true);
  if (resolved.tokens.length === 0 && !resolved.authenticate) refuseOpenAddress(scope.server);
  else openApi(scope).isSecured = true;
  scope.addHook('onRequest', requestGuard(resolved));
  parseBodies(scope, { ...DEFAULT_JSON_LIMITS, bodyBytes: resolved.bodyBytes });
}

const ANOTHER_SITE =
  'a page of another site asks for this: name its origin in allowedOrigins (a program that sends cookies: this server in Referer)';

type ErrorAnswer = typeof answerError;
type Hook = (request: FastifyRequest, reply: FastifyReply, done: () => void) => void;

/** Before anything of the body is read. The order is that of what it costs. */
function requestGuard(options: ResolvedGuard): Hook {
  const { allowedHosts, allowedOrigins, rateLimit } = options;
  const clients = rateLimit === 0 ? undefined : new TokenBuckets(rateLimit, Math.max(1, rateLimit));
  const authenticate = authentication(options);
  return (request, reply, done) => {
    for (const [name, value] of HEADERS) if (!reply.hasHeader(name)) reply.header(name, value);
    const refuse = (error: unknown): void => answerError(error, request, reply);
    const { headers, method, socket } = request.raw;
    if (hasTwoHosts(request.raw.rawHeaders)) return refuse(new HttpProblem(400, 'more than one Host header'));
    if (!isAllowedHost(headers.host, allowedHosts, socket.localAddress)) {
      return refuse(new HttpProblem(421, 'this server is not called so: name the host in http.allowedHosts'));
    }
    const { isOpen = false, hasEffects = false } = request.routeOptions.config?.svcComm ?? {};
    if (isOpen) return done();
    const waitSeconds = clients?.take(request.ip) ?? 0;
    if (waitSeconds > 0) {
      return refuse(new HttpProblem(429, `more than ${rateLimit} requests a second`, { retryAfter: waitSeconds }));
    }
    const isForeign = SAFE_METHODS.has(method ?? '')
      ? hasEffects && isForeignGet(headers, allowedOrigins)
      : isForeignOrigin(headers, allowedOrigins);
    if (isForeign) return refuse(new HttpProblem(403, ANOTHER_SITE));
    const wrong = bodyProblem(request);
    if (wrong) return refuse(wrong);
    if (!authenticate) return done();
    authenticate(request).then(() => done(), refuse);
  };
}

/** undefined when nobody is asked who they are. */
function authentication({
  tokens,
  authenticate,
  credentialHeaders,
}: ResolvedGuard): ((request: FastifyRequest) => Promise<void>) | undefined {
  if (tokens.length === 0 && !authenticate) return undefined;
  const isToken = tokenCheck(tokens);
  const guesses = new Guesses();
  return async (request) => {
    const { headers, ip } = request;
    const { authorization } = headers;
    const takesBasic = request.routeOptions.config?.svcComm?.takesBasic ?? false;
    const ask = (): Verdict | Promise<Verdict> => {
      const token = bearerToken(authorization) ?? (takesBasic ? basicPassword(authorization) : undefined);
      const isTried = token !== undefined && tokens.length > 0;
      if (isTried && isToken(token)) return EVERYBODY;
      return authenticate ? askHook(request, authenticate, isTried) : NOBODY;
    };
    const isGuess = credentialHeaders.some((name) => headers[name] !== undefined);
    const verdict = await (isGuess ? guesses.judge(ip, ask) : ask());
    if (!isRefusal(verdict)) return setCaller(request, verdict);
    throw challenging(verdict.reason, takesBasic && tokens.length > 0 ? 'Basic' : 'Bearer');
  };
}

const SAY_WHO = 'say who you are: Authorization: Bearer TOKEN';
const NOBODY: Refusal = Object.freeze({ reason: new HttpProblem(401, SAY_WHO), isWrong: true });

/** @param isTried whether what is asked about is no token of the server: that much of it is known, also when the hook fails */
async function askHook(request: FastifyRequest, authenticate: Authenticate, isTried: boolean): Promise<Verdict> {
  try {
    const identity = (await authenticate(request)) ?? undefined;
    return identity === undefined ? NOBODY : callerFrom(identity);
  } catch (error) {
    const reason = refusalOf(error);
    return {
      reason: reason ?? error,
      isWrong: isTried || (reason !== undefined && !SAY_NOTHING.has(reason.statusCode)),
    };
  }
}

/** Of the credentials: a timeout, a state that does not fit, too long a body, too early, too many requests. */
const SAY_NOTHING: ReadonlySet<number> = new Set([408, 409, 413, 425, 429]);

/** Of an error with a status of 4xx, as @fastify/jwt, @fastify/sensible and http-errors make them; undefined of others. */
function refusalOf(error: unknown): HttpProblem | undefined {
  const problem = problemOf(error);
  if (is4xx(problem.statusCode)) return problem;
  if (typeof error !== 'object' || error === null || isAnswerOfAnother(error)) return undefined;
  // As Fastify reads it; errors of NestJS and express-jwt have the second alone.
  const { statusCode, status } = error as { statusCode?: unknown; status?: unknown };
  const code = statusCode ?? status;
  // Not its text, which was written for a log: it may name a user, or quote the credentials.
  const detail = code === 401 ? SAY_WHO : 'refused by the check of who calls';
  return is4xx(code) ? new HttpProblem(code, detail) : undefined;
}

/** The status of such an error is that of a server that has refused us, not the caller: axios and its like name the request. */
const isAnswerOfAnother = (error: object): boolean =>
  error instanceof RestApiError || 'request' in error || 'config' in error;

const is4xx = (status: unknown): status is number =>
  Number.isInteger(status) && (status as number) >= 400 && (status as number) < 500;

/** A 401 says what is asked for (RFC 9110 §15.5.2): without it a browser does not ask its user. */
function challenging(reason: unknown, scheme: 'Basic' | 'Bearer'): unknown {
  if (!(reason instanceof HttpProblem) || reason.statusCode !== 401) return reason;
  const headers = { 'www-authenticate': `${scheme} realm="svc-comm"`, ...reason.extras.headers };
  return new HttpProblem(401, reason.message, { ...reason.extras, headers });
}
