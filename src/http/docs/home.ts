import type { FastifyInstance } from 'fastify';

/**
 * A browser that asks for `/` is led to the page for people; programs, which do not ask for HTML, get what is there. To
 * be called before the plugins are registered whose routes it is for.
 */
export function leadPeopleToDocs(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    const [path] = request.url.split('?');
    const isForPeople = request.method === 'GET' && path === '/' && request.headers.accept?.includes('text/html');
    if (isForPeople) void reply.header('vary', 'accept').redirect('/docs');
    else done();
  });
}
