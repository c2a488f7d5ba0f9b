import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import { PAGE_ASSETS, type PageAsset, pageAsset } from '../../documentation/assets.ts';
import type { TryOut } from '../../documentation/model.ts';
import { documentationPage, PAGE_CSP } from '../../documentation/page/page.ts';
import { guardScope } from '../guard/guard.ts';
import type { GuardOptions } from '../guard/options.ts';
import { openApi } from '../openapi/collector.ts';
import { assertPluginOptions } from '../plugin-options.ts';
import { pathPrefix } from '../prefix.ts';
import { DocumentationSource, type DocumentedParts } from './documentation.ts';
import { registerReference } from './reference.ts';

export interface DocsOptions extends DocumentedParts {
  /** @default the guard of the scope around, else one with its defaults: this machine only */
  readonly guard?: GuardOptions | undefined;
}

const NAMES = [
  'title',
  'version',
  'description',
  'tasks',
  'processes',
  'messageRouter',
  'brokerUrls',
  'exchangeTypes',
  'tests',
  'guard',
] as const satisfies readonly (keyof DocsOptions)[];

const config = { svcComm: { takesBasic: true } };

/**
 * Fastify plugin: `/docs`, a page for people with forms to try things; `/openapi.json` and `/asyncapi.json`; and
 * `/docs/api`, Swagger UI, when the package @fastify/swagger-ui is there. All of it is made of what is registered at the
 * time, from files of this server alone.
 */
export const docs: FastifyPluginAsync<DocsOptions> = async (scope, options) => {
  assertPluginOptions('docs', options, NAMES);
  guardScope(scope, options.guard);
  const source = new DocumentationSource(options);
  const { title, version, description } = source;
  scope.get('/openapi.json', { config }, async (_request, reply) =>
    reply.header('cache-control', 'no-store').send(await openApi(scope).document({ title, version, description })),
  );
  scope.get('/asyncapi.json', { config }, async (_request, reply) =>
    reply.header('cache-control', 'no-store').send(await source.asyncApi()),
  );
  for (const name of Object.keys(PAGE_ASSETS) as PageAsset[]) {
    scope.get(`/docs/${name}`, { config }, async (_request, reply) =>
      reply
        .type(PAGE_ASSETS[name])
        .header('cache-control', 'no-cache')
        .send(await pageAsset(name)),
    );
  }
  const at = (path: string) => pathPrefix(scope) + path;
  const hasReference = await registerReference(scope, '/docs/api', config);
  const links = {
    openApi: at('/openapi.json'),
    asyncApi: at('/asyncapi.json'),
    reference: hasReference ? at('/docs/api') : undefined,
    style: at('/docs/page.css'),
    script: at('/docs/page.js'),
  };
  for (const path of ['/docs', '/docs/']) {
    scope.get(path, { config }, async (request, reply) =>
      reply
        .type('text/html; charset=utf-8')
        .headers({ 'cache-control': 'no-store', 'content-security-policy': PAGE_CSP, 'referrer-policy': 'no-referrer' })
        .send(documentationPage(await source.page({ links, tryOut: tryOutOf(scope, request) }))),
    );
  }
};

function tryOutOf(scope: FastifyInstance, request: FastifyRequest): TryOut {
  const api = openApi(scope);
  return {
    tasks: api.prefixOf('tasks'),
    processes: api.prefixOf('processes'),
    isSecured: api.isSecured,
    // The guard has looked at the name that it was called by.
    origin: `${request.protocol}://${request.host}`,
  };
}
