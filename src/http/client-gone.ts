import type { FastifyReply } from 'fastify';

/** Aborts when the client closes its connection before it has its answer; and after the answer, which harms nobody. */
export function clientGone(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  if (reply.raw.destroyed) gone.abort();
  else reply.raw.once('close', () => gone.abort());
  return gone.signal;
}
