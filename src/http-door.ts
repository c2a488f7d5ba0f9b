import { useServicesSource } from './discovery/source.ts';
import './process-door.ts';
import { useMetricsSource } from './telemetry/source.ts';

useMetricsSource(async () => (await (await import('./default-service.ts')).defaultService()).prometheusMetrics());

useServicesSource(async () => (await (await import('./default-service.ts')).defaultService()).services());

export { MissingPackageError, OpenAddressError } from './errors.ts';
export { asyncResource } from './http/async-resource/async-resource.ts';
export type {
  OperationName,
  ResourceAction,
  ResourceHandlers,
  ResourceRequest,
  Started,
} from './http/async-resource/operations.ts';
export type { AsyncResourceOptions, OperationDocs } from './http/async-resource/options.ts';
export type { Caller } from './http/caller.ts';
export { callerOf } from './http/caller.ts';
export type { DocsOptions } from './http/docs/docs.ts';
export { docs } from './http/docs/docs.ts';
export type { FunctionServerOptions } from './http/function-server/function-server.ts';
export { functionServer } from './http/function-server/function-server.ts';
export { guard } from './http/guard/guard.ts';
export type { Authenticate, GuardOptions, Identity } from './http/guard/options.ts';
export type { HealthOptions } from './http/health.ts';
export { health } from './http/health.ts';
export type { MetricsOptions } from './http/metrics.ts';
export { metrics } from './http/metrics.ts';
export type { ProcessApiOptions } from './http/process-api/process-api.ts';
export { processApi } from './http/process-api/process-api.ts';
export type { HttpServerOptions } from './http/server.ts';
export { HttpServer, SERVER_OPTIONS } from './http/server.ts';
export type { ServicesOptions } from './http/services.ts';
export { services } from './http/services.ts';
