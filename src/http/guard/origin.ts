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

function originHost(origin: string): string | undefined {
  try {
    return new URL(origin).host;
  } catch {
    // `null` is the origin of sandboxed pages and local files.
    return undefined;
  }
}
