import type { FastifyRequest } from 'fastify';
import { InvalidArgumentError } from '../../errors.ts';
import { hostName } from '../../util/hosts.ts';
import type { Caller } from '../caller.ts';
import { assertPluginOptions } from '../plugin-options.ts';

/** The owner; or the owner and whether they see the tasks of all. */
export type Identity = string | { readonly owner: string; readonly seesAll?: boolean };

/**
 * Says who calls; nothing: nobody that we know, which is answered with 401. An error that has a `statusCode` of 4xx is
 * answered with that, and without its text; any other is a fault.
 */
export type Authenticate = (
  request: FastifyRequest,
) => Identity | null | undefined | Promise<Identity | null | undefined>;

export interface GuardOptions {
  /** A bearer token that callers send, or several of which each is good. Who has it sees everything. @default none */
  readonly token?: string | readonly string[] | undefined;
  /** Asked when no token is set, or the one sent is another. What it names as owner sees its own tasks only. @default none */
  readonly authenticate?: Authenticate | undefined;
  /**
   * Headers besides `Authorization` in which `authenticate` finds who calls: what it refuses of them counts as a guess.
   * No effect without it: nobody else reads them.
   * @default ['x-api-key', 'x-auth-token']: not `cookie`, since a browser sends one that is over with all that it asks for
   */
  readonly credentialHeaders?: readonly string[] | undefined;
  /**
   * Names by which the server is called, besides `localhost`, loopback addresses and the address that it listens on;
   * `['*']` for any, behind a proxy that looks at them. @default []
   */
  readonly allowedHosts?: readonly string[] | undefined;
  /** Origins of pages that may call, such as `https://console.example.com`. @default []: those of the server's own */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Requests a second of one address, and as many at once; 0: no limit. @default 1000 */
  readonly rateLimit?: number | undefined;
  /** Longest body, in bytes. @default 1 MiB */
  readonly bodyBytes?: number | undefined;
}

export interface ResolvedGuard {
  readonly tokens: readonly string[];
  readonly authenticate: Authenticate | undefined;
  /** In lower case, `authorization` among them. */
  readonly credentialHeaders: readonly string[];
  readonly allowedHosts: ReadonlySet<string>;
  readonly allowedOrigins: ReadonlySet<string>;
  readonly rateLimit: number;
  readonly bodyBytes: number;
}

const NAMES = [
  'token',
  'authenticate',
  'credentialHeaders',
  'allowedHosts',
  'allowedOrigins',
  'rateLimit',
  'bodyBytes',
] as const satisfies readonly (keyof GuardOptions)[];

export const DEFAULT_GUARD = Object.freeze({
  credentialHeaders: Object.freeze(['x-api-key', 'x-auth-token']),
  rateLimit: 1000,
  bodyBytes: 1024 * 1024,
});

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) */
export function resolveGuard(options: GuardOptions): ResolvedGuard {
  assertPluginOptions('guard', options, NAMES);
  const { token = [], authenticate, allowedHosts = [], allowedOrigins = [] } = options;
  const { rateLimit = DEFAULT_GUARD.rateLimit, bodyBytes = DEFAULT_GUARD.bodyBytes } = options;
  const { credentialHeaders = DEFAULT_GUARD.credentialHeaders } = options;
  const tokens = typeof token === 'string' ? [token] : [...token];
  for (const one of tokens) {
    if (!/^\S+$/.test(one))
      throw new InvalidArgumentError('token', 'a text without spaces', 'one that is empty or has them');
  }
  for (const header of credentialHeaders) {
    // A field name (RFC 9110 §5.1).
    if (/^[\w!#$%&'*+.^`|~-]+$/.test(header)) continue;
    throw new InvalidArgumentError('credentialHeaders', 'names of headers', JSON.stringify(header));
  }
  for (const host of allowedHosts) {
    if (host === '*' || hostName(host) === host.toLowerCase()) continue;
    throw new InvalidArgumentError('allowedHosts', 'names without scheme and port', JSON.stringify(host));
  }
  for (const origin of allowedOrigins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      throw new InvalidArgumentError('allowedOrigins', 'origins such as https://example.com', JSON.stringify(origin));
    }
  }
  if (!Number.isFinite(rateLimit) || rateLimit < 0) {
    throw new InvalidArgumentError('rateLimit', 'a number ≥ 0', String(rateLimit));
  }
  if (!Number.isInteger(bodyBytes) || bodyBytes < 1) {
    throw new InvalidArgumentError('bodyBytes', 'a whole number ≥ 1', String(bodyBytes));
  }
  return {
    tokens,
    authenticate,
    credentialHeaders: ['authorization', ...(authenticate ? credentialHeaders : []).map((name) => name.toLowerCase())],
    allowedHosts: new Set(allowedHosts.map((host) => host.toLowerCase())),
    allowedOrigins: new Set(allowedOrigins),
    rateLimit,
    bodyBytes,
  };
}

export function callerFrom(identity: Identity): Caller {
  const { owner, seesAll = false } = typeof identity === 'string' ? { owner: identity } : identity;
  // '' is whoever comes without a name: their tasks would be everybody's.
  if (typeof owner !== 'string' || owner === '') {
    throw new TypeError('the authenticate hook named an owner that is empty, or no text');
  }
  return { owner, seesAll };
}
