import type { FastifyPluginAsync } from 'fastify';
import type { ServicesOverview } from '../discovery/overview.ts';
import { servicesSource } from '../discovery/source.ts';
import { UnknownServiceError } from '../errors.ts';
import { guardScope } from './guard/guard.ts';
import type { GuardOptions } from './guard/options.ts';
import { openApi } from './openapi/collector.ts';
import { json, pathParameter, problem } from './openapi/parts.ts';
import type { Paths } from './openapi/types.ts';
import { assertPluginOptions } from './plugin-options.ts';
import { pathPrefix } from './prefix.ts';

export interface ServicesOptions {
  /** @default `services()` of the default service */
  readonly services?: (() => Promise<ServicesOverview>) | undefined;
  /** @default the guard of the scope around, else one with its defaults: this machine only */
  readonly guard?: GuardOptions | undefined;
}

/**
 * Fastify plugin: `GET /services` says which services are there, who listens to what and what nobody takes;
 * `GET /services/{name}` says all that one tells of itself.
 */
export const services: FastifyPluginAsync<ServicesOptions> = async (scope, options) => {
  assertPluginOptions('services', options, ['services', 'guard'] satisfies (keyof ServicesOptions)[]);
  const { services: ask = servicesSource, guard } = options;
  guardScope(scope, guard);
  scope.get('/services', async (_request, reply) => reply.header('cache-control', 'no-store').send(await ask()));
  scope.get<{ Params: { name: string } }>('/services/:name', async ({ params }, reply) => {
    const { services: there } = await ask();
    const found = there.find(({ name }) => name === params.name);
    if (!found) {
      throw new UnknownServiceError(
        params.name,
        there.map(({ name }) => name),
      );
    }
    return reply.header('cache-control', 'no-store').send(found);
  });
  openApi(scope).add({ prefix: pathPrefix(scope), paths: () => PATHS });
};

const text = { type: 'string' };
const texts = { type: 'array', items: text };
const objects = { type: 'array', items: { type: 'object' } };
const flag = { type: 'boolean' };

const SERVICE = {
  type: 'object',
  properties: {
    name: text,
    isHealthy: flag,
    versions: texts,
    roles: texts,
    queues: texts,
    consumes: objects,
    publishes: objects,
    tasks: objects,
    processes: objects,
    instances: objects,
  },
  required: ['name', 'isHealthy', 'instances'],
};

const PATHS: Paths = Object.freeze({
  '/services': {
    get: {
      operationId: 'services',
      summary: 'Which services are there, who listens to what, and what nobody takes',
      tags: ['services'],
      responses: {
        200: json('Who has said lately that they are there.', {
          type: 'object',
          properties: {
            services: { type: 'array', items: SERVICE },
            listeners: objects,
            unheard: objects,
            undescribed: { type: 'integer' },
            isCurrent: { ...flag, description: 'False: the broker is lost, and the list is as it was then.' },
          },
          required: ['services', 'listeners', 'unheard', 'undescribed', 'isCurrent'],
        }),
        503: problem('Nobody can be asked: the broker is not there, or discovery is off.'),
      },
    },
  },
  '/services/{name}': {
    get: {
      operationId: 'service',
      summary: 'All that a service tells of itself',
      tags: ['services'],
      parameters: [pathParameter('name', 'The appId of the service.')],
      responses: {
        200: json('It is there.', SERVICE),
        404: problem('No service of this name is there.'),
        503: problem('Nobody can be asked: the broker is not there, or discovery is off.'),
      },
    },
  },
});
