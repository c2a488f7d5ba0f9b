import type { FastifyInstance, FastifyRequest } from 'fastify';

/** Where a scope is, as a request to it says: `/api/acme` for the prefix `/api/:tenant`. */
export function prefixOf({ prefix }: Pick<FastifyInstance, 'prefix'>, { url }: Pick<FastifyRequest, 'url'>): string {
  if (!/[:*]/.test(prefix)) return prefix;
  const [path = ''] = url.split('?', 1);
  return path.split('/').slice(0, prefix.split('/').length).join('/');
}
