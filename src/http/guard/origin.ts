import type { IncomingHttpHeaders } from 'node:http';

/**
 * Whether a browser says that another site's page asks for this. A program that is no browser sends neither header.
 * A page of the same host is ours, on whatever port of the scheme it came by.
 * @param allowed origins such as `https://console.example.com`
 */
export function isForeignOrigin(headers: IncomingHttpHeaders, allowed: ReadonlySet<string>): boolean {
  const { origin, host } = headers;
  if (origin !== undefined && allowed.has(origin)) return false;
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  return origin !== undefined && originHost(origin) !== host?.toLowerCase();
}

/**
 * The same of a GET that does something. To a server that it reaches by plain HTTP, and not on its own machine, a browser
 * does not say for which site it asks (W3C Fetch Metadata), nor does a link or an image say its origin; its cookies
 * may come along. What is left is the `Referer`, which a page can keep back.
 */
export function isForeignGet(headers: IncomingHttpHeaders, allowed: ReadonlySet<string>): boolean {
  const { origin, host, referer, cookie } = headers;
  if (origin !== undefined || headers['sec-fetch-site'] !== undefined) return isForeignOrigin(headers, allowed);
  if (referer === undefined) return cookie !== undefined || isRememberedByBrowser(headers);
  return isForeignOrigin({ host, origin: URL.canParse(referer) ? new URL(referer).origin : referer }, allowed);
}

/** What a browser sends by itself once somebody has logged in by its dialog; one says that it is Mozilla. */
function isRememberedByBrowser({ authorization = '', 'user-agent': agent = '' }: IncomingHttpHeaders): boolean {
  return /^(basic|digest|negotiate|ntlm)\s/i.test(authorization) && agent.startsWith('Mozilla/');
}

function originHost(origin: string): string | undefined {
  try {
    return new URL(origin).host;
  } catch {
    // `null` is the origin of sandboxed pages and local files.
    return undefined;
  }
}
