import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ListenError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import { isAllowedHost } from '../util/hosts.ts';
import { isLoopback } from '../util/is-loopback.ts';
import type { Readiness } from './readiness.ts';

export interface MonitorOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Text format 0.0.4 of Prometheus. */
  readonly metrics: () => Promise<string>;
  /** Called at the start. */
  readonly keepDurations: () => Promise<void>;
  readonly readiness: Readiness;
  readonly logger: Logger;
}

/** https://prometheus.io/docs/instrumenting/exposition_formats/ */
export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const NO_NAMES: ReadonlySet<string> = new Set();

/** How often slow connections are looked for; node's own 30 s would be their shortest time. */
const CHECK_MS = 1_000;

/**
 * Tells of the process to those who watch it, whatever state it is in: `GET /metrics` for Prometheus, `GET /health` while
 * it answers at all, `GET /health/ready` when each of its roles does its work, else 503 with those that do not.
 */
export class Monitor implements Service {
  readonly name = 'monitor';
  readonly #options: MonitorOptions;
  readonly #lifecycle: Lifecycle;
  #server: Server | undefined;

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#lifecycle = new Lifecycle(this.name, { start: () => this.#start(), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /** Where it listens, such as `http://127.0.0.1:9464`; undefined before it does. */
  get url(): string | undefined {
    const address = this.#server?.address() as AddressInfo | null | undefined;
    if (!address) return undefined;
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `http://${host}:${address.port}`;
  }

  /** @throws ListenError (SVC_COMM_LISTEN) */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #start(): Promise<void> {
    const { host, port, keepDurations, logger } = this.#options;
    await keepDurations();
    const server = createServer({ connectionsCheckingInterval: CHECK_MS }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        logger.warn({ error }, 'a request to the monitor failed');
        if (response.headersSent) response.destroy();
        else send(response, 500, { status: 'failed' });
      });
    });
    // Who watches asks again in seconds: a connection that is slower than that is nobody's.
    server.requestTimeout = 10_000;
    server.headersTimeout = 5_000;
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(new ListenError('monitor', host, port, error)));
      server.listen({ host, port }, resolve);
    });
    logger.info({ url: this.url }, 'metrics and health can be asked for');
  }

  async #stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server?.listening) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  /** As by a browser for a page whose name was made to lead here; one that names none is no browser. */
  #isCalledOtherwise({ headers: { host }, socket }: IncomingMessage): boolean {
    const address = this.#server?.address();
    if (typeof address !== 'object' || !address || !isLoopback(address.address)) return false;
    return host !== undefined && !isAllowedHost(host, NO_NAMES, socket.localAddress);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#isCalledOtherwise(request)) {
      return send(response, 421, { status: 'misdirected', hosts: ['localhost', 'the address that it listens on'] });
    }
    const path = pathOf(request.url ?? '/');
    const isKnown = path === '/metrics' || path === '/health' || path === '/health/ready';
    if (!isKnown) return send(response, 404, { status: 'unknown', paths: ['/metrics', '/health', '/health/ready'] });
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      return send(response, 405, { status: 'method not allowed' });
    }
    if (path === '/health') return send(response, 200, { status: 'ok' });
    if (path === '/health/ready') {
      const { waiting } = this.#options.readiness;
      if (waiting.length === 0) return send(response, 200, { status: 'ok' });
      return send(response, 503, { status: 'unavailable', waiting });
    }
    const text = await this.#options.metrics();
    response.writeHead(200, { 'content-type': PROMETHEUS_TYPE }).end(text);
  }
}

/** A proxy may ask by the whole URL (RFC 9112, section 3.2.2). */
const pathOf = (target: string): string => target.replace(/^https?:\/\/[^/?]*/i, '').split('?', 1)[0] || '/';

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
