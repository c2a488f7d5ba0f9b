import pg from 'pg';
import { isLoopback } from '../util/is-loopback.ts';

/**
 * What a connection of this URL to another machine lacks, as pg itself reads the URL and the environment (`PGSSLMODE`).
 * @returns undefined for one that is encrypted and verified, for this machine, or for a socket
 */
export function unprotected(url: string): 'plain text' | 'TLS that verifies nobody' | undefined {
  const client = clientOf(url);
  if (!client) return undefined;
  const { host, ssl } = client;
  if (host.startsWith('/') || isLoopback(host)) return undefined;
  if (!ssl) return 'plain text';
  const isVerified = typeof ssl !== 'object' || !('rejectUnauthorized' in ssl) || ssl.rejectUnauthorized !== false;
  return isVerified ? undefined : 'TLS that verifies nobody';
}

/** undefined where pg cannot read it, such as for a certificate that is not there: the connection says so. */
function clientOf(url: string): { readonly host: string; readonly ssl: unknown } | undefined {
  try {
    return new pg.Client({ connectionString: url });
  } catch {
    return undefined;
  }
}
