import { createHash, timingSafeEqual } from 'node:crypto';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Compares with the tokens that are allowed. What is kept and compared are digests of one length: the time tells nothing
 * of how much of a guess is right.
 */
export function tokenCheck(tokens: readonly string[]): (given: string) => boolean {
  const known = tokens.map(digest);
  return (given) => {
    const asked = digest(given);
    let isKnown = false;
    for (const one of known) isKnown = timingSafeEqual(one, asked) || isKnown;
    return isKnown;
  };
}

/** The token of an `Authorization` header (RFC 6750 §2.1; the scheme's case does not matter, RFC 9110 §11.1). */
export function bearerToken(header: string | undefined): string | undefined {
  const [, token] = /^Bearer +(\S+) *$/i.exec(header ?? '') ?? [];
  return token;
}

/** The password of an `Authorization` header of the scheme Basic (RFC 7617): what a browser can ask a person for. */
export function basicPassword(header: string | undefined): string | undefined {
  const [, credentials] = /^Basic +([A-Za-z0-9+/=]+) *$/i.exec(header ?? '') ?? [];
  if (credentials === undefined) return undefined;
  const text = Buffer.from(credentials, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : text.slice(colon + 1);
}
