import type { FastifyInstance, FastifyRequest } from 'fastify';

type Scope = Pick<FastifyInstance, 'prefix'>;

/**
 * What stands before the paths of a scope, which begin with a slash. Fastify takes the slash at the end of a prefix for
 * theirs: `/api/` and `/double` are `/api/double`, and `/` is no prefix.
 */
export const pathPrefix = ({ prefix }: Scope): string => (prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);

/** Where a scope is, as a request to it says: `/api/acme` for the prefix `/api/:tenant`. */
export function prefixOf(scope: Scope, { url }: Pick<FastifyRequest, 'url'>): string {
  const prefix = pathPrefix(scope);
  if (!/[:*]/.test(prefix)) return prefix;
  const [path = ''] = url.split('?', 1);
  return path.split('/').slice(0, prefix.split('/').length).join('/');
}
