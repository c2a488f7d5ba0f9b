import type { FastifyPluginAsync } from 'fastify';
import { PROMETHEUS_TYPE } from '../telemetry/monitor.ts';
import { metricsSource } from '../telemetry/source.ts';
import { guardScope } from './guard/guard.ts';
import type { GuardOptions } from './guard/options.ts';
import { openApi } from './openapi/collector.ts';
import { assertPluginOptions } from './plugin-options.ts';
import { pathPrefix } from './prefix.ts';

export interface MetricsOptions {
  /** @default `prometheusMetrics()` of the default service */
  readonly metrics?: (() => Promise<string>) | undefined;
  /** @default the guard of the scope around, else one with its defaults: this machine only */
  readonly guard?: GuardOptions | undefined;
}

/** Fastify plugin: `GET /metrics` for Prometheus. Where the server has a token, Prometheus needs it (`authorization`). */
export const metrics: FastifyPluginAsync<MetricsOptions> = async (scope, options) => {
  assertPluginOptions('metrics', options, ['metrics', 'guard'] satisfies (keyof MetricsOptions)[]);
  const { metrics: ask = metricsSource, guard } = options;
  guardScope(scope, guard);
  scope.get('/metrics', async (_request, reply) => reply.type(PROMETHEUS_TYPE).send(await ask()));
  openApi(scope).add({ prefix: pathPrefix(scope), paths: () => ({ '/metrics': { get: OPERATION } }) });
};

const OPERATION = {
  operationId: 'metrics',
  summary: 'Metrics for Prometheus, text format 0.0.4',
  tags: ['health'],
  responses: { 200: { description: 'Metrics.', content: { 'text/plain': { schema: { type: 'string' } } } } },
};
