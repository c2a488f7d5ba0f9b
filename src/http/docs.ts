import type { FastifySwaggerUiOptions } from '@fastify/swagger-ui';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { MissingPackageError } from '../errors.ts';
import { guardScope } from './guard/guard.ts';
import type { GuardOptions } from './guard/options.ts';
import { type DocumentOptions, openApi } from './openapi/collector.ts';

export interface DocsOptions extends Partial<DocumentOptions> {
  /** @default the guard of the scope around, else one with its defaults: this machine only */
  readonly guard?: GuardOptions | undefined;
}

/** All from this server, and nothing that a text could smuggle in. Swagger UI writes style attributes. */
const PAGE_CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const config = { svcComm: { takesBasic: true } };

/**
 * Fastify plugin: `/openapi.json`, made of what is registered at the time, and `/docs`, a page for people. The page's
 * files come from the package @fastify/swagger-ui; nothing is asked of another server.
 * @throws MissingPackageError (SVC_COMM_MISSING_PACKAGE) without @fastify/swagger-ui
 */
export const docs: FastifyPluginAsync<DocsOptions> = async (scope, options) => {
  guardScope(scope, options.guard);
  const { title = 'svc-comm', version = '1', description } = options;
  const document = () => openApi(scope).document({ title, version, description });
  scope.get('/openapi.json', { config }, async (_request, reply) =>
    reply.header('cache-control', 'no-store').send(await document()),
  );
  const swaggerUi = await loadSwaggerUi();
  await scope.register(async (page) => {
    // @fastify/swagger collects the schemas of routes; ours are told by what is registered behind them.
    page.decorate('swagger', () => ({}));
    page.addHook('onRoute', (route) => {
      route.config = { ...route.config, ...config };
    });
    // Called, not registered: registered it asks for @fastify/swagger, of which it needs no more than the above.
    await swaggerUi(page, {
      routePrefix: '/docs',
      uiConfig: { url: `${scope.prefix}/openapi.json`, deepLinking: true, validatorUrl: null },
      staticCSP: PAGE_CSP,
    });
  });
};

async function loadSwaggerUi(): Promise<(scope: FastifyInstance, options: FastifySwaggerUiOptions) => Promise<void>> {
  try {
    const { fastifySwaggerUi } = await import('@fastify/swagger-ui');
    // Its declaration has the callback form; the function is async.
    return fastifySwaggerUi as unknown as (scope: FastifyInstance, options: FastifySwaggerUiOptions) => Promise<void>;
  } catch (error) {
    throw new MissingPackageError('the page /docs', ['@fastify/swagger-ui'], { cause: error });
  }
}
