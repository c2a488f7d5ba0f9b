import { RestApiRedirectError } from '../errors.ts';
import { forAnotherOrigin, withoutBody } from './headers.ts';
import { isStream, type Outgoing, type Received, type Send } from './transport.ts';

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/**
 * Follows redirects, at most `most` of them. Another origin gets neither a body nor headers that could prove who asks; https never leads to
 * http. As browsers do (Fetch standard, HTTP-redirect fetch), a 301 or 302 turns a POST into a GET, a 303 whatever is no
 * GET or HEAD.
 */
export function redirects(next: Send, most: number): Send {
  if (most === 0) return next;
  return async function followRedirects(first, call) {
    let request = first;
    for (let followed = 0; ; followed++) {
      const received = await next(request, call);
      if (!REDIRECTS.has(received.statusCode) || received.headers.location === undefined) return received;
      if (followed === most) throw refusal(request, received, `more than ${most} in a row`);
      request = redirected(request, received);
    }
  };
}

function redirected(request: Outgoing, received: Received): Outgoing {
  const { statusCode, headers } = received;
  const { origin, path } = request.target;
  const location = headers.location ?? '';
  const url = URL.canParse(location, origin + path) ? new URL(location, origin + path) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) throw refusal(request, received, 'it is no http URL');
  if (url.username || url.password) throw refusal(request, received, 'it holds credentials');
  if (origin.startsWith('https:') && url.protocol === 'http:') throw refusal(request, received, 'it leaves https');

  const isForeign = url.origin !== origin;
  const { method } = request;
  const becomesGet = statusCode === 303 ? method !== 'GET' && method !== 'HEAD' : statusCode < 303 && method === 'POST';
  if (isForeign && request.body !== undefined && !becomesGet)
    throw refusal(request, received, 'a body goes to no other origin');
  if (isStream(request.body) && !becomesGet) throw refusal(request, received, 'a stream cannot be sent again');
  const target = { origin: url.origin, path: url.pathname + url.search, url: url.origin + url.pathname };
  const moved = becomesGet ? withoutBody({ ...request, method: 'GET' }) : request;
  if (!isForeign) return { ...moved, target };
  // Also when that origin leads back: it would choose what is asked with our token.
  return { ...moved, target, headers: forAnotherOrigin(moved.headers), isAnonymous: true };
}

/** Of an answer 3xx that came through: redirects are off, or it is none. */
export function whyNotFollowed({ statusCode, headers }: Received): string {
  if (!REDIRECTS.has(statusCode)) return 'it is no redirect; say validateStatus to take it as an answer';
  return headers.location === undefined ? 'it does not say where' : 'redirects are off unless maxRedirects is set';
}

export function refusal(request: Outgoing, { statusCode, headers }: Received, why: string): RestApiRedirectError {
  const { location } = headers;
  const base = request.target.origin + request.target.path;
  const url = location !== undefined && URL.canParse(location, base) ? new URL(location, base) : undefined;
  return new RestApiRedirectError(
    { method: request.method, url: request.target.url },
    statusCode,
    url && url.origin + url.pathname,
    why,
  );
}
