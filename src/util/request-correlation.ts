import type { IncomingHttpHeaders } from 'node:http';
import { v7 as uuidv7 } from 'uuid';
import { type Correlation, traceparentOf, withCorrelation } from './correlation.ts';

/** As HTTP servers of Node, Express, Fastify and NestJS have it, or as a `Request` of the Fetch standard does. */
export interface RequestHeaders {
  readonly headers: IncomingHttpHeaders | Pick<Headers, 'get'>;
}

export interface RequestCorrelationOptions {
  /** Headers that may carry the id, the first that does counts. @default ['x-correlation-id', 'x-request-id'] */
  readonly headers?: readonly string[];
}

const DEFAULT_HEADERS: readonly string[] = Object.freeze(['x-correlation-id', 'x-request-id']);

/** AMQP's limit for `correlation_id`. */
const MAX_BYTES = 255;
/** Printable ASCII: it goes into headers and logs again. */
const TEXT = /^[\x20-\x7e]+$/;

/**
 * The correlation of an HTTP request: its id, or a new one (UUIDv7) when it has none that can travel, and its W3C
 * `traceparent`.
 */
export function requestCorrelation(
  { headers }: RequestHeaders,
  { headers: names = DEFAULT_HEADERS }: RequestCorrelationOptions = {},
): Correlation {
  const given = names.map((name) => headerOf(headers, name.toLowerCase())).find(isUsable);
  return { correlationId: given ?? uuidv7(), traceparent: traceparentOf(headerOf(headers, 'traceparent')) };
}

const headerOf = (headers: RequestHeaders['headers'], name: string): unknown =>
  typeof headers.get === 'function' ? headers.get(name) : (headers as IncomingHttpHeaders)[name];

/**
 * Runs the handler of a request so that whatever it publishes, sends and requests carries the request's correlation.
 * @example createServer((request, response) => correlateRequest(request, () => handle(request, response)));
 */
export const correlateRequest = <T>(request: RequestHeaders, fn: () => T, options?: RequestCorrelationOptions): T =>
  withCorrelation(requestCorrelation(request, options), fn);

/**
 * The same as middleware of Express, NestJS and their like.
 * @example app.use(expressCorrelation());
 */
export function expressCorrelation(options?: RequestCorrelationOptions) {
  return (request: RequestHeaders, _response: unknown, next: () => void): void =>
    correlateRequest(request, next, options);
}

type Hook = (request: RequestHeaders, reply: unknown, done: () => void) => void;

/** The part of a Fastify instance that the plugin needs. */
export interface FastifyHooks {
  addHook(name: 'onRequest' | 'preValidation', hook: Hook): unknown;
}

/**
 * The same as a Fastify plugin, for the instance that registers it and all below.
 * @example app.register(fastifyCorrelation);
 */
export function fastifyCorrelation(instance: FastifyHooks, options: RequestCorrelationOptions, done: () => void): void {
  // On the request itself: a WeakMap makes each garbage collection look for those that have gone.
  const known: unique symbol = Symbol('correlation');
  type Known = RequestHeaders & { [known]?: Correlation };
  instance.addHook('onRequest', (request: Known, _reply, next) => {
    const correlation = requestCorrelation(request, options);
    request[known] = correlation;
    withCorrelation(correlation, next);
  });
  // The body is read by events of the socket, which know nothing of the request.
  instance.addHook('preValidation', (request: Known, _reply, next) => {
    withCorrelation(request[known] ?? requestCorrelation(request, options), next);
  });
  done();
}
// Fastify's mark of a plugin whose hooks are for who registers it, not for the plugin alone.
Object.defineProperty(fastifyCorrelation, Symbol.for('skip-override'), { value: true });

const isUsable = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= MAX_BYTES && TEXT.test(value);
