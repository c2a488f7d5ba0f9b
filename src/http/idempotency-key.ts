import type { FastifyRequest } from 'fastify';

/** The header of the IETF draft "The Idempotency-Key HTTP Header Field": a quoted string; a bare one is taken as well. */
export function idempotencyKey({ headers }: Pick<FastifyRequest, 'headers'>): string | undefined {
  const header = headers['idempotency-key'];
  if (typeof header !== 'string') return undefined;
  const [, quoted] = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header.trim()) ?? [];
  return quoted === undefined ? header.trim() : quoted.replaceAll(/\\(["\\])/g, '$1');
}
