import { type FastifyInstance, type FastifyServerOptions, fastify, LogController } from 'fastify';
import { ListenError } from '../errors.ts';
import { createLogger, type Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { fastifyCorrelation } from '../util/request-correlation.ts';
import { isError } from '../util/thrown.ts';
import { Connections } from './connections.ts';
import { guard } from './guard/guard.ts';
import type { GuardOptions } from './guard/options.ts';
import { fastifyLogger } from './logger.ts';
import { answerError, answerNotFound } from './problem.ts';

export interface HttpServerOptions {
  /** @default '127.0.0.1' */
  readonly host?: string | undefined;
  /** 0 takes a free one. @default 8888 */
  readonly port?: number | undefined;
  readonly guard?: GuardOptions;
  /** @default JSON lines on standard error */
  readonly logger?: Logger;
  /** Puts plugins and routes on it. */
  readonly register: (app: FastifyInstance) => void | Promise<void>;
}

const LOOPBACK = '127.0.0.1';
const IDLE_LOOK_MS = 50;

/**
 * What a server of ours is made with: clients that send slowly are cut off, and headers are bounded. For those who make
 * their own: `fastify({ ...SERVER_OPTIONS })`.
 */
export const SERVER_OPTIONS = Object.freeze({
  bodyLimit: 1024 * 1024,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  forceCloseConnections: 'idle',
  return503OnClosing: true,
  routerOptions: { maxParamLength: 512 },
  http: Object.freeze({ maxHeaderSize: 16 * 1024, headersTimeout: 10_000, connectionsCheckingInterval: 1_000 }),
} as const) satisfies FastifyServerOptions;

/** What the system has against an address; whatever else a plugin throws at the start is its own. */
const isOfSystem = (error: unknown): error is NodeJS.ErrnoException => isError(error) && 'syscall' in error;

/** A Fastify server as a service: `start` resolves when it listens, `stop` when its last answer is sent. */
export class HttpServer implements Service {
  readonly name = 'HTTP server';
  readonly #options: HttpServerOptions;
  readonly #lifecycle: Lifecycle;
  #app: FastifyInstance | undefined;
  #connections: Connections | undefined;
  #url: string | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#lifecycle = new Lifecycle(this.name, { start: () => this.#start(), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }
  /** Where it listens, such as `http://127.0.0.1:8888`; undefined before it does. */
  get url(): string | undefined {
    return this.#url;
  }

  /** @throws OpenAddressError (SVC_COMM_OPEN_ADDRESS), ListenError (SVC_COMM_LISTEN) */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }
  /** Takes no more requests, ends waits with 503 and streams, and answers the rest. */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #start(): Promise<void> {
    const { host = LOOPBACK, port = 8888, guard: guardOptions = {}, logger = createLogger(), register } = this.#options;
    const logController = new LogController({ disableRequestLogging: true });
    const app = fastify({
      ...SERVER_OPTIONS,
      loggerInstance: fastifyLogger(logger),
      logController,
      // Of a URL that cannot be read: no route, and so no error handler, is asked.
      frameworkErrors: answerError,
    });
    this.#app = app;
    this.#connections = new Connections(app.server);
    app.setErrorHandler(answerError);
    app.setNotFoundHandler(answerNotFound);
    await app.register(guard, guardOptions);
    await app.register(fastifyCorrelation);
    await register(app);
    try {
      // Fastify would make a second server for the other address of the name, which none of our limits hold for.
      this.#url = await app.listen({ host: host === 'localhost' ? LOOPBACK : host, port });
    } catch (error) {
      throw isOfSystem(error) ? new ListenError('http', host, port, error) : error;
    }
  }

  async #stop(): Promise<void> {
    const app = this.#app;
    // The server closes the connections that are idle when it is told to; the others become idle with their answers.
    const closing = setInterval(() => this.#connections?.closeIdle(), IDLE_LOOK_MS);
    try {
      await app?.close();
    } finally {
      clearInterval(closing);
    }
    this.#app = undefined;
    this.#url = undefined;
  }
}
