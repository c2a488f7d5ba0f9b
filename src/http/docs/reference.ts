import type { FastifySwaggerUiOptions } from '@fastify/swagger-ui';
import type { FastifyContextConfig, FastifyInstance } from 'fastify';
import { isMissingModule } from '../../util/thrown.ts';
import { pathPrefix } from '../prefix.ts';

/** Swagger UI writes style attributes. */
const REFERENCE_CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

type SwaggerUi = (scope: FastifyInstance, options: FastifySwaggerUiOptions) => Promise<void>;

/**
 * The OpenAPI document in Swagger UI, from the files of the package @fastify/swagger-ui: nothing is asked of another
 * server.
 * @returns whether that package is there
 */
export async function registerReference(
  scope: FastifyInstance,
  path: string,
  config: FastifyContextConfig,
): Promise<boolean> {
  const swaggerUi = await loadSwaggerUi();
  if (!swaggerUi) return false;
  await scope.register(async (page) => {
    // @fastify/swagger collects the schemas of routes; ours are told by what is registered behind them.
    page.decorate('swagger', () => ({}));
    page.addHook('onRoute', (route) => {
      route.config = { ...route.config, ...config };
    });
    // Called, not registered: registered it asks for @fastify/swagger, of which it needs no more than the above.
    await swaggerUi(page, {
      routePrefix: path,
      uiConfig: { url: `${pathPrefix(scope)}/openapi.json`, deepLinking: true, validatorUrl: null },
      staticCSP: REFERENCE_CSP,
    });
  });
  return true;
}

async function loadSwaggerUi(): Promise<SwaggerUi | undefined> {
  try {
    const { fastifySwaggerUi } = await import('@fastify/swagger-ui');
    // Its declaration has the callback form; the function is async.
    return fastifySwaggerUi as unknown as SwaggerUi;
  } catch (error) {
    if (isMissingModule(error)) return undefined;
    throw error;
  }
}
