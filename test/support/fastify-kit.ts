import type { FastifyInstance } from 'fastify';
import type { GuardOptions } from '../../src/http/guard/options.ts';
import { HttpServer } from '../../src/http/server.ts';
import { type Logger, silentLogger } from '../../src/lifecycle/logger.ts';

export interface TestServer {
  readonly url: string;
  readonly server: HttpServer;
  /** Answers of any status, the body as text and as JSON where it is. */
  request(path: string, init?: RequestInit): Promise<Answer>;
  stop(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** undefined when it is none */
  readonly json: unknown;
}

/** A server of ours on a free port. */
export async function startServer(
  register: (app: FastifyInstance) => void | Promise<void>,
  { guard = {}, logger = silentLogger, host }: { guard?: GuardOptions; logger?: Logger; host?: string } = {},
): Promise<TestServer> {
  const server = new HttpServer({ port: 0, guard, logger, register, ...(host === undefined ? {} : { host }) });
  await server.start();
  const { url = '' } = server;
  return {
    url,
    server,
    request: (path, init) => request(url + path, init),
    stop: () => server.stop(),
  };
}

export async function request(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { redirect: 'manual', ...init });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parsed(text) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const json = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});
