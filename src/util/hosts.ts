import { isIP } from 'node:net';
import { isLoopback } from './is-loopback.ts';

/** The name of a `Host` header without its port; undefined when it is none (RFC 9110 §7.2). */
export function hostName(header: string | undefined): string | undefined {
  const [, bracketed, plain] = /^(?:\[([0-9a-f:.]+)\]|([^\s:/@[\]]+))(?::\d{1,5})?$/i.exec(header ?? '') ?? [];
  return (bracketed ?? plain)?.toLowerCase();
}

/**
 * Node takes the first of them, and what stands in front may take the last: nobody knows who was meant (RFC 9112 §3.2).
 * @param rawHeaders names and values in turn, as they came
 */
export function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let found = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i];
    if (name?.length === 4 && name.toLowerCase() === 'host') found += 1;
  }
  return found > 1;
}

/**
 * Whether a request's `Host` is one of ours. A page of a foreign name that is made to point to this server (DNS
 * rebinding) sends its own name; it cannot send an address, nor `localhost`.
 * @param allowed names, or `*` for any
 * @param localAddress where the connection came in
 */
export function isAllowedHost(
  header: string | undefined,
  allowed: ReadonlySet<string>,
  localAddress: string | undefined,
): boolean {
  const name = hostName(header);
  if (name === undefined) return false;
  if (allowed.has('*') || allowed.has(name)) return true;
  if (isLoopback(name)) return true;
  return isIP(name) !== 0 && name === localAddress?.replace(/^::ffff:/, '');
}
