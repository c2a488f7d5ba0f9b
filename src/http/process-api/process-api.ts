import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { guardScope } from '../guard/guard.ts';
import type { GuardOptions } from '../guard/options.ts';
import { openApi } from '../openapi/collector.ts';
import { assertPluginOptions } from '../plugin-options.ts';
import { pathPrefix } from '../prefix.ts';
import { Instances, type InstancesOptions, type OfInstance, type OfProcess } from './instances.ts';
import { processPaths } from './paths.ts';

export interface ProcessApiOptions extends InstancesOptions {
  /**
   * Which processes it serves: `all`, also those that are registered later, by routes that take any name; or those that
   * are `registered` now, each by routes of its own name, so that other routes can stand beside them.
   * @default 'all'
   */
  readonly serves?: 'all' | 'registered' | undefined;
  /** @default the guard of the scope around, else one with its defaults: this machine only */
  readonly guard?: GuardOptions | undefined;
}

const NAMES = [
  'processes',
  'headers',
  'cancelWait',
  'serves',
  'guard',
] as const satisfies readonly (keyof ProcessApiOptions)[];

/**
 * Fastify plugin: `POST /ID` creates an instance of a process, `GET /` lists the processes.
 * @example await app.register(processApi, { prefix: '/processes' });
 */
export const processApi: FastifyPluginAsync<ProcessApiOptions> = async (scope, options) => {
  assertPluginOptions('processApi', options, NAMES);
  guardScope(scope, options.guard);
  const instances = new Instances(scope, options);
  const { serves = 'all' } = options;
  const ids = serves === 'all' ? [':processId'] : (await instances.descriptions()).map(({ id }) => id);
  if (serves === 'all') route(scope, 'GET', '/', () => instances.descriptions());
  for (const id of ids) {
    const params = serves === 'all' ? {} : { processId: id };
    const on = (method: Method, path: string, handler: (request: never, reply: FastifyReply) => unknown) =>
      route(scope, method, `/${id}${path}`, (request, reply) => {
        Object.assign(request.params as object, params);
        return handler(request as never, reply);
      });
    on('GET', '', (request: OfProcess) => instances.description(request));
    on('POST', '', (request: OfProcess, reply) => instances.create(request, reply));
    on('GET', '/instances', (request: OfProcess) => instances.list(request));
    on('PUT', '/:instanceId', (request: OfInstance, reply) =>
      instances.create(request, reply, request.params.instanceId),
    );
    on('GET', '/:instanceId', (request: OfInstance, reply) => instances.show(request, reply));
    on('DELETE', '/:instanceId', (request: OfInstance, reply) => instances.cancel(request, reply));
  }
  openApi(scope).add({
    prefix: pathPrefix(scope),
    of: 'processes',
    paths: async () => processPaths(await instances.descriptions(), { listsAll: serves === 'all' }),
  });
};

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** With and without a slash at the end; which of the two is asked for makes no difference. */
function route(
  scope: FastifyInstance,
  method: Method,
  path: string,
  handler: (request: FastifyRequest, reply: FastifyReply) => unknown,
): void {
  // What a person finds at the server's name.
  const config = path === '/' ? { svcComm: { takesBasic: true } } : {};
  for (const url of path === '/' ? ['/'] : [path, `${path}/`]) {
    scope.route({ method, url, config, handler: async (request, reply) => handler(request, reply) });
  }
}
