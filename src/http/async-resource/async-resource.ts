import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { guardScope } from '../guard/guard.ts';
import { openApi } from '../openapi/collector.ts';
import { pathPrefix } from '../prefix.ts';
import { HttpProblem, sendProblem } from '../problem.ts';
import { checkHandlers, METHODS, type ResourceHandlers } from './operations.ts';
import { type AsyncResourceOptions, checkResource } from './options.ts';
import { resourcePaths } from './paths.ts';
import { Resource } from './resource.ts';

/**
 * A Fastify plugin: a REST resource whose operations start tasks, as tastypie-async has it. Options may be given here or
 * where it is registered.
 * @param name a part of the URLs: `/NAME/`, `/NAME/ID/`, `/NAME/state/TASK/`, `/NAME/result/TASK/`
 * @example
 * const double = asyncResource('double', { getList: (request) => double.startFrom({ number: request.query.foo }) });
 * await app.register(double, { prefix: '/api/v1' });
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT)
 */
export function asyncResource(
  name: string,
  handlers: ResourceHandlers,
  given: AsyncResourceOptions = {},
): FastifyPluginAsync<AsyncResourceOptions> {
  checkHandlers(handlers);
  checkResource(name, given);
  return async (scope, atRegistration) => {
    const options = { ...given, ...atRegistration };
    checkResource(name, options);
    guardScope(scope, options.guard);
    const resource = new Resource(scope, { name, handlers, options });
    const base = `/${name}`;
    for (const [path, isDetail] of [
      [base, false],
      [`${base}/:pk`, true],
    ] as const) {
      const effects = { config: { svcComm: { hasEffects: true } } };
      route(scope, METHODS, path, (request, reply) => resource.operate(request, reply, isDetail), effects);
      refuse(scope, path, METHODS);
    }
    route(scope, ['GET', 'HEAD'], `${base}/state/:id`, (request, reply) => resource.state(request, reply));
    route(scope, ['DELETE'], `${base}/state/:id`, (request, reply) => resource.cancel(request, reply));
    refuse(scope, `${base}/state/:id`, ['GET', 'HEAD', 'DELETE']);
    route(scope, ['GET', 'HEAD'], `${base}/result/:id`, (request, reply) => resource.result(request, reply));
    refuse(scope, `${base}/result/:id`, ['GET', 'HEAD']);
    openApi(scope).add({ prefix: pathPrefix(scope), paths: () => resourcePaths(name, handlers, options) });
  };
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

/** With and without a slash at the end. HEAD of a GET that starts something is none: it is refused with the rest. */
function route(
  scope: FastifyInstance,
  method: readonly string[],
  path: string,
  handler: Handler,
  options: object = {},
): void {
  for (const url of [path, `${path}/`]) {
    scope.route({ method: [...method], url, exposeHeadRoute: false, handler, ...options });
  }
}

/** 405 with what there is (RFC 9110 §15.5.6). */
function refuse(scope: FastifyInstance, path: string, allowed: readonly string[]): void {
  const others = scope.supportedMethods.filter((method) => !allowed.includes(method));
  const headers = { allow: allowed.join(', ') };
  const handler: Handler = async ({ method }, reply) =>
    sendProblem(reply, new HttpProblem(405, `${method} does nothing here`, { headers }));
  // @fastify/swagger of an application would tell of them, also of methods that OpenAPI has none of.
  route(scope, others, path, handler, { schema: { hide: true } });
}
