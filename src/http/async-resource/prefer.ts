import type { FastifyRequest } from 'fastify';

/** Longest that an answer is held back for a client that would rather wait. */
export const MOST_WAIT_SECONDS = 60;

/** Seconds of `Prefer: wait=10` (RFC 7240 §4.3), at most a minute; undefined when it is not asked for. */
export function preferredWait({ headers }: FastifyRequest): number | undefined {
  const { prefer } = headers;
  const header = Array.isArray(prefer) ? prefer.join(',') : prefer;
  const [, seconds] = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])/i.exec(header ?? '') ?? [];
  return seconds === undefined ? undefined : Math.min(Number(seconds), MOST_WAIT_SECONDS);
}
