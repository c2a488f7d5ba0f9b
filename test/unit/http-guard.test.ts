import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { AxiosError, type AxiosResponse } from 'axios';
import {
  type FastifyError,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  fastify,
} from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import {
  InvalidArgumentError,
  OpenAddressError,
  OverMaxConcurrencyError,
  RestApiForbiddenError,
  RestApiLoginError,
} from '../../src/errors.ts';
import { asyncResource } from '../../src/http/async-resource/async-resource.ts';
import { callerOf } from '../../src/http/caller.ts';
import { docs } from '../../src/http/docs/docs.ts';
import { functionServer } from '../../src/http/function-server/function-server.ts';
import { guard } from '../../src/http/guard/guard.ts';
import type { GuardOptions } from '../../src/http/guard/options.ts';
import { TokenBuckets } from '../../src/http/guard/token-bucket.ts';
import { health } from '../../src/http/health.ts';
import { metrics } from '../../src/http/metrics.ts';
import { HttpProblem } from '../../src/http/problem.ts';
import { processApi } from '../../src/http/process-api/process-api.ts';
import { HttpServer } from '../../src/http/server.ts';
import { services } from '../../src/http/services.ts';
import { type Logger, silentLogger } from '../../src/lifecycle/logger.ts';
import { deferred } from '../../src/util/deferred.ts';
import { json, startServer, type TestServer } from '../support/fastify-kit.ts';

const running: TestServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

/** Echoes what it gets. */
async function echo(options: GuardOptions = {}, logger: Logger = silentLogger): Promise<TestServer> {
  const server = await startServer(
    (app) => {
      app.get('/look', (request, reply) => reply.send({ caller: callerOf(request) }));
      app.get('/act', { config: { svcComm: { hasEffects: true } } }, (_request, reply) => reply.send({}));
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'] as const) {
        app.route({ method, url: '/act', handler: (request, reply) => reply.send({ body: request.body ?? null }) });
      }
      app.get('/broken', () => {
        throw new Error('postgres://user:c4n4ry@db/x is down');
      });
      void app.register(health);
    },
    { guard: options, logger },
  );
  running.push(server);
  return server;
}

/** The status and body of a request with just these headers: fetch would add its own. */
function raw(
  url: string,
  { method = 'GET', headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string | Buffer },
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const isSized = body === undefined || 'transfer-encoding' in headers;
    const length: Record<string, number> = isSized ? {} : { 'content-length': Buffer.byteLength(body) };
    const request = httpRequest(url, { method, headers: { ...length, ...headers }, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** The statuses of requests that are sent in one piece over one connection; each has these credentials. */
async function inOnePiece(url: string, credentials: readonly string[]): Promise<number[]> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  const requests = credentials.map((one, n) => {
    const last = n === credentials.length - 1 ? 'Connection: close\r\n' : '';
    return `GET /look HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${one}\r\n${last}\r\n`;
  });
  socket.write(requests.join(''));
  let text = '';
  for await (const chunk of socket) text += chunk;
  return [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));
}

const bearers = (count: number): string[] => Array.from({ length: count }, (_, n) => `Bearer guess${n}`);

describe('a server without a token', () => {
  it.each(['0.0.0.0', '::', '10.0.0.1', 'example.com'])('does not start on %s', async (host) => {
    const server = new HttpServer({ host, port: 0, logger: silentLogger, register: () => undefined });
    await expect(server.start()).rejects.toThrow(OpenAddressError);
    await expect(server.start()).rejects.toMatchObject({ code: 'SVC_COMM_OPEN_ADDRESS', address: host });
  });

  it('does not start there either when it is a server of the user’s own, with one of our plugins', async () => {
    for (const listen of [
      { port: 0, host: '0.0.0.0' },
      { port: 0, host: '::' },
    ]) {
      const app = fastify();
      await app.register(functionServer, { prefix: '/functions' });
      await expect(app.listen(listen)).rejects.toThrow(OpenAddressError);
      await app.close();
    }
    const called = fastify();
    await called.register(guard, {});
    const error = await new Promise((resolve) => called.listen({ port: 0, host: '0.0.0.0' }, resolve));
    expect(error).toBeInstanceOf(OpenAddressError);
    await called.close();
  });

  it('says why it cannot listen where it is told to, and which settings name it', async () => {
    const other = await startServer(() => undefined);
    const port = Number(new URL(other.url).port);
    const taken = new HttpServer({ port, logger: silentLogger, register: () => undefined });
    await expect(taken.start()).rejects.toMatchObject({
      code: 'SVC_COMM_LISTEN',
      settings: 'http',
      port,
      isTaken: true,
    });
    await taken.stop();
    const nowhere = new HttpServer({ host: '192.0.2.1', port: 0, guard: { token: 'x' }, register: () => undefined });
    await expect(nowhere.start()).rejects.toThrow(/192\.0\.2\.1.*http\.host/);
    await nowhere.stop();
    await other.stop();
  });

  it.each(['/%E0%A4%A', '/a/%ff'])('answers %s, which is no URL, as it answers all that is wrong', async (path) => {
    const server = new HttpServer({ port: 0, logger: silentLogger, register: () => undefined });
    await server.start();
    try {
      const response = await fetch(`${server.url}${path}`);
      expect(response.headers.get('content-type')).toContain('application/problem+json');
      expect([response.status, await response.json()]).toMatchObject([400, { title: 'Bad Request', status: 400 }]);
    } finally {
      await server.stop();
    }
  });

  it.each(['127.0.0.1', '::1', 'localhost'])('starts on %s', async (host) => {
    const server = await startServer(() => undefined, { host });
    running.push(server);
    expect((await server.request('/')).status).toBe(404);
  });

  it('starts anywhere with a token, or with a hook that says who calls', async () => {
    for (const options of [{ token: 'secret' }, { authenticate: () => undefined }]) {
      const server = await startServer(() => undefined, { guard: options, host: '0.0.0.0' });
      running.push(server);
      expect((await server.request('/')).status).toBe(401);
    }
  });
});

describe('a token', () => {
  it('is asked for on every route and verb but the health check', async () => {
    const server = await echo({ token: ['first', 'second'] });
    for (const path of ['/look', '/act', '/nothing', '/broken', '/']) {
      for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
        const { status, headers } = await server.request(path, { method });
        expect([path, method, status]).toEqual([path, method, 401]);
        expect(headers.get('www-authenticate')).toMatch(/^Bearer/);
      }
    }
    expect((await server.request('/health')).json).toEqual({ status: 'ok' });
    for (const token of ['first', 'second']) {
      const answer = await server.request('/look', { headers: { authorization: `bearer ${token}` } });
      expect(answer.json).toEqual({ caller: { owner: '', seesAll: true } });
    }
  });

  it('is not told from another by its beginning, its length or its scheme', async () => {
    const server = await echo({ token: 'secret' });
    for (const authorization of [
      'Bearer secre',
      'Bearer secrett',
      'Bearer SECRET',
      'Basic OnNlY3JldA==',
      'secret',
      'Bearer',
    ]) {
      const { status } = await server.request('/look', { headers: { authorization } });
      expect([authorization, status]).toEqual([authorization, 401]);
    }
  });

  it('cannot be guessed: after ten wrong ones in a minute the right one is refused as well', async () => {
    const server = await echo({ token: 'secret' });
    const statuses: number[] = [];
    for (let guess = 0; guess < 12; guess += 1) {
      statuses.push((await server.request('/look', { headers: { authorization: `Bearer ${guess}` } })).status);
    }
    expect(statuses).toEqual([...Array(10).fill(401), 429, 429]);
    const right = await server.request('/look', { headers: { authorization: 'Bearer secret' } });
    expect([right.status, Number(right.headers.get('retry-after'))]).toEqual([429, expect.any(Number)]);
    expect((await server.request('/look')).status).toBe(401);
  });

  it('is looked for in Authorization alone: other headers, which nobody reads here, are no guess', async () => {
    const server = await echo({ token: 'secret', credentialHeaders: ['x-api-key', 'cookie'] });
    const foreign = { 'x-api-key': 'of the proxy', 'x-auth-token': 'of the proxy', cookie: 'session=over' };
    for (let n = 0; n < 15; n += 1) {
      expect((await server.request('/look', { headers: foreign })).status).toBe(401);
    }
    const right = await server.request('/look', { headers: { ...foreign, authorization: 'Bearer secret' } });
    expect(right.status).toBe(200);
  });

  it('cannot be guessed by many that come in one piece', async () => {
    const { url } = await echo({ token: 'secret' });
    const statuses = await inOnePiece(url, [...bearers(20), 'Bearer secret', ...bearers(5)]);
    expect(statuses).toEqual([...Array(10).fill(401), ...Array(16).fill(429)]);
  });

  it('cannot be guessed behind a hook that is still asked for the wrong ones', async () => {
    let asked = 0;
    const gate = deferred<void>();
    const { url } = await echo({
      token: 'secret',
      authenticate: async () => {
        asked += 1;
        await gate.promise;
        return undefined;
      },
    });
    const statuses = inOnePiece(url, [...bearers(50), 'Bearer secret', ...bearers(5)]);
    await expect.poll(() => asked).toBe(55);
    gate.resolve();
    expect(await statuses).toEqual([...Array(10).fill(401), ...Array(46).fill(429)]);
  });

  it('cannot be guessed where the hook behind it fails: what is not the token has been tried, whatever else is wrong', async () => {
    const server = await echo({
      token: 'secret',
      authenticate: () => {
        throw new Error('jwt malformed');
      },
    });
    const ask = async (headers: Record<string, string>) => (await server.request('/look', { headers })).status;
    const statuses: number[] = [];
    for (let n = 0; n < 20; n += 1) statuses.push(await ask({ 'x-api-key': 'is no try of the token' }));
    for (let n = 0; n < 12; n += 1) statuses.push(await ask({ authorization: `Bearer ${n}` }));
    expect(statuses).toEqual([...Array(30).fill(500), 429, 429]);
    expect(await ask({ authorization: 'Bearer secret' })).toBe(429);
  });
});

describe('an authenticate hook', () => {
  it('names the owner; whoever it does not know is refused; what it throws is not shown', async () => {
    const server = await echo({
      authenticate: async ({ headers }) => {
        if (headers['x-user'] === 'thrower') throw new Error('c4n4ry');
        if (headers['x-user'] === 'nobody') return '';
        if (headers['x-user'] === 'root') return { owner: 'root', seesAll: true };
        return typeof headers['x-user'] === 'string' ? headers['x-user'] : undefined;
      },
    });
    const as = (user: string) => server.request('/look', { headers: { 'x-user': user } });
    expect((await as('ann')).json).toEqual({ caller: { owner: 'ann', seesAll: false } });
    expect((await as('root')).json).toEqual({ caller: { owner: 'root', seesAll: true } });
    expect((await server.request('/look')).status).toBe(401);
    const [thrown, nameless] = [await as('thrower'), await as('nobody')];
    expect([thrown.status, nameless.status]).toEqual([500, 500]);
    expect(thrown.text + nameless.text).not.toContain('c4n4ry');
  });

  it('cannot be guessed at by many at once: the right one among them is refused when ten were wrong before it', async () => {
    let asked = 0;
    const gate = deferred<void>();
    const server = await echo({
      authenticate: async ({ headers }) => {
        asked += 1;
        await gate.promise;
        return headers.authorization === 'Bearer right' ? 'ann' : undefined;
      },
    });
    const ask = (token: string) => server.request('/look', { headers: { authorization: `Bearer ${token}` } });
    const wrong = Array.from({ length: 100 }, (_, n) => ask(`before ${n}`));
    await expect.poll(() => asked).toBe(100);
    const right = ask('right');
    await expect.poll(() => asked).toBe(101);
    wrong.push(...Array.from({ length: 99 }, (_, n) => ask(`after ${n}`)));
    await expect.poll(() => asked).toBe(200);
    gate.resolve();
    const statuses = (await Promise.all(wrong)).map(({ status }) => status).toSorted((a, b) => a - b);
    expect(statuses).toEqual([...Array(10).fill(401), ...Array(189).fill(429)]);
    expect((await right).status).toBe(429);
  });

  it('cannot be guessed at where it knows the right one sooner than that the others are wrong', async () => {
    let asked = 0;
    const gate = deferred<void>();
    const { url } = await echo({
      authenticate: ({ headers }) => {
        asked += 1;
        return headers.authorization === 'Bearer right' ? 'ann' : gate.promise.then(() => undefined);
      },
    });
    const statuses = inOnePiece(url, [...bearers(50), 'Bearer right', ...bearers(5)]);
    await expect.poll(() => asked).toBe(56);
    gate.resolve();
    expect(await statuses).toEqual([...Array(10).fill(401), ...Array(46).fill(429)]);
  });

  it('lets in any number at once who are right', async () => {
    let asked = 0;
    const gate = deferred<void>();
    const server = await echo({
      authenticate: async () => {
        asked += 1;
        await gate.promise;
        return 'ann';
      },
    });
    const answers = Array.from({ length: 100 }, () =>
      server.request('/look', { headers: { authorization: 'Bearer right' } }),
    );
    await expect.poll(() => asked).toBe(100);
    gate.resolve();
    expect(new Set((await Promise.all(answers)).map(({ status }) => status))).toEqual(new Set([200]));
  });

  it.each([
    ['x-api-key', {}],
    ['x-auth-token', {}],
    ['cookie', { credentialHeaders: ['Cookie'] }],
  ])('cannot be guessed at in the header %s', async (header, options) => {
    const server = await echo({
      ...options,
      authenticate: async ({ headers }) => (headers[header] === 'right' ? 'ann' : undefined),
    });
    const statuses: number[] = [];
    for (let guess = 0; guess < 12; guess += 1) {
      statuses.push((await server.request('/look', { headers: { [header]: `${guess}` } })).status);
    }
    expect(statuses).toEqual([...Array(10).fill(401), 429, 429]);
    expect((await server.request('/look', { headers: { [header]: 'right' } })).status).toBe(429);
  });

  it.each([
    ['as NestJS and express-jwt do, by `status`', 401, { statusCode: undefined, status: 401 }],
    ['as @fastify/jwt does', 401, { code: 'FST_JWT_AUTHORIZATION_TOKEN_INVALID' }],
    ['as @fastify/jwt does of a token without a signature', 401, { code: 'FAST_JWT_MISSING_SIGNATURE' }],
    ['as http-errors and @fastify/sensible do', 401, {}],
    ['of a user who is blocked', 403, {}],
    ['of a key that it does not find', 404, {}],
    ['of what is no token at all', 400, { code: 'FST_JWT_BAD_REQUEST' }],
  ])('is guessed at also where it throws what refuses, %s: %i', async (_name, statusCode, more) => {
    const logged: unknown[] = [];
    const authenticate = async () => {
      throw Object.assign(new Error('for the log'), { statusCode, ...more });
    };
    const server = await echo({ authenticate }, { ...silentLogger, error: (fields) => void logged.push(fields) });
    const statuses: number[] = [];
    for (let guess = 0; guess < 11; guess += 1) {
      statuses.push((await server.request('/look', { headers: { authorization: `Bearer ${guess}` } })).status);
    }
    expect(statuses).toEqual([...Array(10).fill(statusCode), 429]);
    expect(logged).toEqual([]);
  });

  it.each([
    ['an error without a status', () => new Error('c4n4ry')],
    ['a status that is none of a refusal', () => Object.assign(new Error('c4n4ry'), { statusCode: 503 })],
    ['a status that is none', () => Object.assign(new Error('c4n4ry'), { statusCode: 400.5 })],
    ['a login of this server elsewhere', () => new RestApiLoginError({ method: 'POST', url: 'x' }, 401, 'c4n4ry')],
    ['an answer to its axios', () => new AxiosError('c4n4ry', 'x', undefined, {}, { status: 401 } as AxiosResponse)],
    ['a status beside one of a fault', () => Object.assign(new Error('c4n4ry'), { statusCode: 502, status: 401 })],
    [
      'another server that refuses this one',
      () => new RestApiForbiddenError({ method: 'GET', url: 'x' }, { statusCode: 403, body: 'c4n4ry' }),
    ],
  ])('refuses nobody by %s, which is a fault of ours', async (_name, thrown) => {
    const server = await echo({
      authenticate: () => {
        throw thrown();
      },
    });
    for (let n = 0; n < 15; n += 1) {
      const { status, text } = await server.request('/look', { headers: { authorization: `Bearer ${n}` } });
      expect([status, text.includes('c4n4ry')]).toEqual([500, false]);
    }
  });

  it.each([409, 413, 429])(
    'that throws %i says nothing of the credentials: it is answered, and not counted',
    async (statusCode) => {
      const server = await echo({
        token: 'secret',
        authenticate: ({ headers }) => {
          if (headers.authorization === undefined) return 'anybody';
          throw Object.assign(new Error('later'), { statusCode });
        },
        credentialHeaders: ['x-user'],
      });
      const look = async (headers: Record<string, string>) => (await server.request('/look', { headers })).status;
      for (let n = 0; n < 15; n += 1)
        expect(await look({ 'x-user': `${n}`, authorization: 'Basic x' })).toBe(statusCode);
      expect(await look({ authorization: 'Bearer secret' })).toBe(200);
    },
  );

  it('knows nobody by null either, as a look-up in a database gives it', async () => {
    const server = await echo({ authenticate: async () => null });
    expect((await server.request('/look')).status).toBe(401);
  });

  it('shows nothing of what a refusal that it throws says of the credentials', async () => {
    for (const statusCode of [400, 401, 403, 404, 429]) {
      const server = await echo({
        authenticate: ({ headers }) => {
          throw Object.assign(new Error(`c4n4ry ${headers.authorization}`), { statusCode });
        },
      });
      const { status, text } = await server.request('/look', { headers: { authorization: 'Bearer c4n4ry' } });
      expect([status, text.includes('c4n4ry')]).toEqual([statusCode, false]);
    }
  });

  it('that throws a 401 has a browser ask for the token all the same, and says what it wants otherwise', async () => {
    const server = await startServer((app) => void app.register(docs, { title: 'orders', version: '1.2.3' }), {
      guard: {
        token: 'secret',
        authenticate: ({ headers }) => {
          if (headers['x-user'] === 'own') throw new HttpProblem(401, 'x', { headers: { 'www-authenticate': 'Own' } });
          throw Object.assign(new Error('no'), { statusCode: 401, code: 'FST_JWT_NO_AUTHORIZATION_IN_HEADER' });
        },
      },
    });
    running.push(server);
    const asked = async (path: string, headers = {}) => {
      const answer = await server.request(path, { headers });
      return [answer.status, answer.headers.get('www-authenticate')];
    };
    expect(await asked('/docs')).toEqual([401, 'Basic realm="svc-comm"']);
    expect(await asked('/else')).toEqual([401, 'Bearer realm="svc-comm"']);
    expect(await asked('/else', { 'x-user': 'own' })).toEqual([401, 'Own']);
  });

  it('does not lock out a browser that has no session: neither nothing nor a cookie is a guess', async () => {
    const server = await echo({ authenticate: ({ headers }) => headers.authorization });
    for (let n = 0; n < 15; n += 1) {
      expect((await server.request('/look', { headers: n % 2 ? { cookie: 'session=over' } : {} })).status).toBe(401);
    }
    expect((await server.request('/look', { headers: { authorization: 'ann' } })).status).toBe(200);
  });
});

describe('a foreign Host', () => {
  const STRANGERS = [
    'evil.example',
    'evil.example:8888',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '10.9.8.7',
    '@localhost',
  ];

  it.each(STRANGERS)('%j is answered with 421 on all routes', async (host) => {
    const { url } = await echo();
    for (const path of ['/look', '/act', '/health', '/nothing']) {
      expect((await raw(url + path, { headers: { host } })).status).toBe(421);
      expect((await raw(url + path, { method: 'POST', headers: { host } })).status).toBe(421);
    }
  });

  it('is one that is neither this machine’s nor on the list', async () => {
    const { url } = await echo({ allowedHosts: ['api.example.com'] });
    const { port } = new URL(url);
    for (const host of [
      'localhost',
      `localhost:${port}`,
      `127.0.0.1:${port}`,
      '[::1]:1',
      'API.example.com',
      'api.example.com:443',
    ]) {
      expect([host, (await raw(`${url}/look`, { headers: { host } })).status]).toEqual([host, 200]);
    }
    const open = await echo({ allowedHosts: ['*'] });
    expect((await raw(`${open.url}/look`, { headers: { host: 'any.example' } })).status).toBe(200);
  });
});

it.each([
  ['two of them', ['localhost', 'localhost']],
  ['two that differ', ['localhost', 'evil.example']],
])('a request with more than one Host (%s) is answered with 400, on all routes', async (_name, hosts) => {
  const { url } = await echo();
  const { port, hostname } = new URL(url);
  for (const path of ['/look', '/health', '/nothing']) {
    const socket = connect(Number(port), hostname);
    const lines = hosts.map((host) => `Host: ${host}\r\n`).join('');
    socket.write(`GET ${path} HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`);
    let text = '';
    for await (const chunk of socket) text += chunk;
    expect(text).toMatch(/^HTTP\/1.1 400 /);
    expect(text).toContain('more than one Host');
  }
});

describe('a page of another site', () => {
  const SHAPES: readonly (readonly [string, Record<string, string>, string | undefined])[] = [
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'x=1'],
    ['a form of text', { 'content-type': 'text/plain' }, '{"x":1}'],
    ['a form of text with a charset', { 'content-type': 'text/plain; charset=utf-8' }, '{"x":1}'],
    ['a form of text without fields', { 'content-type': 'TEXT/PLAIN', 'content-length': '0' }, undefined],
    ['a form with files', { 'content-type': 'multipart/form-data; boundary=x' }, '--x--'],
    ['a body without a type', {}, '{"x":1}'],
    ['a chunked body without a type', { 'transfer-encoding': 'chunked' }, '{"x":1}'],
    ['a fetch without a body', { origin: 'https://evil.example' }, undefined],
    ['a sandboxed page', { origin: 'null' }, undefined],
    ['a page of another port', { origin: 'http://127.0.0.1:1' }, undefined],
    ['a page of a sister site', { 'sec-fetch-site': 'same-site' }, undefined],
    ['an image or a link', { 'sec-fetch-site': 'cross-site' }, undefined],
    ['JSON without asking first', { origin: 'https://evil.example', 'content-type': 'application/json' }, '{}'],
    ['an origin that is no address', { origin: 'x' }, undefined],
  ];

  it.each(SHAPES)('changes nothing by %s', async (_name, headers, body) => {
    const { url } = await echo();
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const { status } = await raw(`${url}/act`, { method, headers, ...(body === undefined ? {} : { body }) });
      expect([403, 415]).toContain(status);
    }
  });

  it('starts nothing by a GET that has effects, and may link to what has none', async () => {
    const { url } = await echo();
    const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect((await raw(`${url}/act`, { headers })).status).toBe(403);
    expect((await raw(`${url}/look`, { headers })).status).toBe(200);
  });

  it('starts nothing by a GET that has effects for a browser that marks nothing: a cookie, and another site’s Referer or none', async () => {
    const { url } = await echo({ allowedHosts: ['tasks.lan'], allowedOrigins: ['https://console.example'] });
    const host = 'tasks.lan:8888';
    const act = async (headers: Record<string, string>) =>
      (await raw(`${url}/act`, { headers: { host, ...headers } })).status;
    const cookie = 'session=1';
    for (const referer of [
      'http://evil.example/',
      'http://tasks.lan/',
      'http://tasks.lan:8888.evil.example/',
      'x',
      '',
    ]) {
      expect([referer, await act({ referer, cookie })]).toEqual([referer, 403]);
      expect([referer, await act({ referer })]).toEqual([referer, 403]);
    }
    expect(await act({ cookie })).toBe(403);
    expect((await raw(`${url}/look`, { headers: { host, cookie, referer: 'http://evil.example/' } })).status).toBe(200);
    // A page of ours or of the list, a person who typed the address, a program.
    for (const referer of ['http://tasks.lan:8888/docs', 'https://console.example/x?y']) {
      expect([referer, await act({ referer, cookie })]).toEqual([referer, 200]);
    }
    expect(await act({ 'sec-fetch-site': 'none', cookie })).toBe(200);
    expect(await act({ authorization: 'Bearer x' })).toBe(200);
  });

  it('starts nothing by a GET that has effects for a browser that marks nothing and sends the password that it remembers', async () => {
    const { url } = await echo({ allowedHosts: ['tasks.lan'] });
    const headers = { host: 'tasks.lan:8888', authorization: `Basic ${Buffer.from('ann:secret').toString('base64')}` };
    const act = async (more: Record<string, string>) =>
      (await raw(`${url}/act`, { headers: { ...headers, ...more } })).status;
    const browser = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' };
    expect(await act(browser)).toBe(403);
    expect(await act({ ...browser, referer: 'http://tasks.lan:8888/docs' })).toBe(200);
    expect(await act({ 'user-agent': 'curl/8.5.0' })).toBe(200);
  });

  it('may when its origin is on the list, or is the server’s own', async () => {
    const { url } = await echo({ allowedOrigins: ['https://console.example'] });
    const post = (headers: Record<string, string>) => raw(`${url}/act`, { method: 'POST', headers });
    expect((await post({ origin: 'https://console.example', 'sec-fetch-site': 'cross-site' })).status).toBe(200);
    expect((await post({ origin: url, 'sec-fetch-site': 'same-origin' })).status).toBe(200);
    expect((await post({ origin: 'https://console.example.evil' })).status).toBe(403);
  });
});

describe('a body', () => {
  it('is read as JSON, whatever else its type says, and none is an empty object', async () => {
    const { url } = await echo();
    const post = (headers: Record<string, string>, body?: string) =>
      raw(`${url}/act`, { method: 'POST', headers, ...(body === undefined ? {} : { body }) });
    for (const type of ['applicaiton/json', 'application/json; charset=utf-8', 'application/vnd.api+json', 'x/y']) {
      expect(JSON.parse((await post({ 'content-type': type }, '{"x":3}')).text)).toEqual({ body: { x: 3 } });
      expect(JSON.parse((await post({ 'content-type': type })).text)).toEqual({ body: {} });
    }
    expect(await post({})).toEqual({ status: 200, text: '{"body":null}' });
  });

  it.each([
    ['broken JSON', '{"x":', 400],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 400],
    ['a key that reaches a prototype', '{"__proto__":{"a":1}}', 400],
    ['a depth bomb', '['.repeat(100_000), 413],
    ['a key bomb', JSON.stringify(Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`k${n}`, 1]))), 413],
    ['a mebibyte and more', JSON.stringify('x'.repeat(1024 * 1024)), 413],
  ])('of %s is refused, soon', async (_name, body, status) => {
    const { url } = await echo();
    const began = performance.now();
    const answer = await raw(`${url}/act`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toMatchObject({ type: 'about:blank', status, detail: expect.any(String) });
    expect(performance.now() - began).toBeLessThan(1000);
  });

  it('with a number that would become another one is refused: an id must arrive as it was sent', async () => {
    const { url } = await echo();
    const headers = { 'content-type': 'application/json' };
    const post = async (body: string) => JSON.parse((await raw(`${url}/act`, { method: 'POST', headers, body })).text);
    for (const number of ['9007199254740993', '-12345678901234567890', '1e999']) {
      const detail = expect.stringContaining(`the number ${number} `);
      expect(await post(`{"order":{"id":${number}}}`)).toMatchObject({ status: 400, detail });
    }
    const exact = '{"id":"9007199254740993","n":9007199254740991,"share":0.1234567890123456789}';
    expect(await post(exact)).toEqual({ body: JSON.parse(exact) });
  });

  it('that is compressed is refused', async () => {
    const { url } = await echo();
    const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    expect((await raw(`${url}/act`, { method: 'POST', headers, body: 'x' })).status).toBe(415);
  });
});

describe('a client that asks too often', () => {
  it('is told when to come again, and others are not held up', () => {
    let now = 0;
    const buckets = new TokenBuckets(2, 4, () => now);
    expect([1, 2, 3, 4, 5].map(() => buckets.take('a'))).toEqual([0, 0, 0, 0, 0.5]);
    expect(buckets.take('b')).toBe(0);
    now = 500;
    expect([buckets.take('a'), buckets.take('a')]).toEqual([0, 0.5]);
    now = 60_000;
    expect([1, 2, 3, 4, 5].map(() => buckets.wait('a') + buckets.take('a'))).toEqual([0, 0, 0, 0, 1]);
    // So many addresses are forgotten again, whoever sends them.
    for (let n = 0; n < 30_000; n += 1) buckets.take(`address ${n}`);
  });

  it('gets 429, and the health check answers all the same', async () => {
    const server = await echo({ rateLimit: 0.01 });
    const statuses: number[] = [];
    for (let n = 0; n < 5; n += 1) statuses.push((await server.request('/look')).status);
    expect(statuses).toEqual([200, 429, 429, 429, 429]);
    expect((await server.request('/health')).status).toBe(200);
  });
});

describe('an answer', () => {
  it('says what is wrong as problem+json, and nothing of what is our own fault', async () => {
    const server = await echo();
    const missing = await server.request('/nothing?secret=c4n4ry');
    expect(missing.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(missing.json).toEqual({
      type: 'about:blank',
      title: 'Not Found',
      status: 404,
      detail: 'there is no GET /nothing here',
    });
    const broken = await server.request('/broken');
    expect([broken.status, broken.text.includes('c4n4ry')]).toEqual([500, false]);
    expect(broken.headers.get('x-content-type-options')).toBe('nosniff');
    expect(broken.headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('is in the log as an error when it is a fault of ours, and not when it is one that was chosen', async () => {
    const logged: string[] = [];
    const answers: Readonly<Record<string, () => never>> = {
      '/fault': () => {
        throw new TypeError('a fault');
      },
      '/full': () => {
        throw new OverMaxConcurrencyError('addition', 1);
      },
      '/stop': () => {
        throw new HttpProblem(503, 'the server stops');
      },
      '/none': () => {
        throw new HttpProblem(501, 'it is not implemented here');
      },
    };
    const server = await startServer(
      (app) => {
        for (const [path, answer] of Object.entries(answers)) app.get(path, answer);
      },
      {
        logger: { ...silentLogger, error: (fields) => void logged.push(String((fields as { route?: unknown }).route)) },
      },
    );
    running.push(server);
    const asked = [];
    for (const path of Object.keys(answers)) asked.push((await server.request(path)).status);
    expect(asked).toEqual([500, 503, 503, 501]);
    expect(logged).toEqual(['/fault']);
  });

  it('comes no more to a client that has not sent its headers in ten seconds', { timeout: 20_000 }, async () => {
    const server = await echo();
    const { port, hostname } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write('GET /look HTTP/1.1\r\nHost: localhost\r\nX-Slow: ');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    await new Promise((resolve) => socket.once('close', resolve));
    expect(text).toMatch(/^HTTP\/1.1 408 /);
  });
});

describe('options of a guard', () => {
  it.each([
    { token: '' },
    { token: 'two words' },
    { credentialHeaders: ['x api key'] },
    { allowedHosts: ['https://x.example'] },
    { allowedHosts: ['x.example:80'] },
    { allowedOrigins: ['x.example'] },
    { allowedOrigins: ['https://x.example/'] },
    { rateLimit: -1 },
    { bodyBytes: 0 },
  ])('%j are refused', async (options) => {
    await expect(startServer(() => undefined, { guard: options })).rejects.toThrow(InvalidArgumentError);
  });
});

describe('a misspelt option, which would let everybody in, is refused by its name', () => {
  const resource = asyncResource('double', {});
  it.each([
    ['guard', guard, 'Token'],
    ['guard', guard, 'authentication'],
    ['functionServer', functionServer, 'gaurd'],
    ['asyncResource', resource, 'authorise'],
    ['processApi', processApi, 'token'],
    ['metrics', metrics, 'token'],
    ['services', services, 'authenticate'],
    ['docs', docs, 'token'],
  ])('of the plugin %s', async (plugin, register, name) => {
    const app = fastify();
    await expect(
      (async () => app.register(register as FastifyPluginAsync, { prefix: '/x', [name]: () => 'ann' } as object))(),
    ).rejects.toMatchObject({
      code: 'SVC_COMM_INVALID_ARGUMENT',
      message: expect.stringMatching(new RegExp(`^options of ${plugin}: .* got the unknown name "${name}"$`)),
    });
  });

  it('of a resource where it is made', () => {
    const options: object = { authorise: () => false };
    expect(() => asyncResource('double', {}, options)).toThrow('got the unknown name "authorise"');
  });

  it('of the guard that a plugin brings, and of a server', async () => {
    const options: object = { authenticat: () => undefined };
    const app = fastify();
    await expect((async () => app.register(functionServer, { guard: options }))()).rejects.toThrow('"authenticat"');
    await expect(startServer(() => undefined, { guard: options })).rejects.toThrow('"authenticat"');
  });

  it('and what Fastify takes beside them is none', async () => {
    const app = fastify();
    await app.register(guard, { prefix: '/x', logLevel: 'warn', logSerializers: {}, token: 'secret' } as object);
    await app.close();
  });
});

it('a body of another scope is not touched by the guard of a plugin', async () => {
  const app = fastify();
  app.addContentTypeParser('text/plain', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  app.post('/own', (request, reply) => reply.send({ own: request.body }));
  await app.register(functionServer, { prefix: '/functions' });
  const answer = await app.inject({
    method: 'POST',
    url: '/own',
    headers: { 'content-type': 'text/plain' },
    body: 'x',
  });
  expect(answer.json()).toEqual({ own: 'x' });
  expect(
    (await app.inject({ method: 'POST', url: '/functions/x', headers: { 'content-type': 'text/plain' }, body: 'x' }))
      .statusCode,
  ).toBe(415);
  expect(json({}).method).toBe('POST');
  await app.close();
});

describe('in an application of the user’s own the guard', () => {
  /** With a 404 of its own making, and errors in its own words where it is asked to. */
  async function application(handler?: 'before' | 'after'): Promise<FastifyInstance> {
    const app = fastify({ allowErrorHandlerOverride: false });
    const answerOwn = (error: FastifyError, _request: FastifyRequest, reply: FastifyReply) =>
      reply.code(error.statusCode ?? 500).send({ own: error.message });
    if (handler === 'before') app.setErrorHandler(answerOwn);
    await app.register(guard, { bodyBytes: 1000 });
    if (handler === 'after') app.setErrorHandler(answerOwn);
    app.get('/missing', () => {
      throw Object.assign(new Error('no such order'), { statusCode: 404 });
    });
    app.post('/', (_request, reply) => reply.send({}));
    await app.register(functionServer, { prefix: '/functions' });
    return app;
  }

  it.each(['before', 'after'] as const)('leaves its error handler to it, set %s the guard', async (when) => {
    const app = await application(when);
    const answer = await app.inject('/missing');
    expect([answer.statusCode, answer.json()]).toEqual([404, { own: 'no such order' }]);
    await app.close();
  });

  it('leaves the status of its errors as it is, and gives its own for a body that it does not take', async () => {
    const app = await application();
    const post = (body: string) =>
      app.inject({ method: 'POST', url: '/', headers: { 'content-type': 'application/json' }, body });
    const answers = [await app.inject('/missing'), await post('{'), await post(`[${'['.repeat(70)}`)];
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([404, 400, 413]);
    await app.close();
  });

  it('answers what it refuses itself, whoever answers errors', async () => {
    const app = await application('after');
    for (const url of ['/missing', '/functions/']) {
      const answer = await app.inject({ url, headers: { host: 'evil.example' } });
      expect(answer.statusCode).toBe(421);
      expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    }
    await app.close();
  });

  it('leaves a policy for pages that is set before it', async () => {
    const app = fastify();
    const policy = "script-src 'self'";
    app.addHook('onRequest', async (_request, reply) => void reply.header('content-security-policy', policy));
    await app.register(guard);
    app.get('/', (_request, reply) => reply.send({}));
    const { headers } = await app.inject('/');
    expect([headers['content-security-policy'], headers['x-content-type-options']]).toEqual([policy, 'nosniff']);
    await app.close();
  });
});

it('a client that goes away in the middle of its body is no error of ours', async () => {
  const lines: string[] = [];
  const logger = { ...silentLogger, error: (_fields: unknown, text: string) => void lines.push(text) };
  const cut = deferred<void>();
  const server = await startServer(
    (app) => {
      app.addHook('onError', async () => cut.resolve());
      app.post('/x', (_request, reply) => reply.send({}));
    },
    { logger },
  );
  running.push(server);
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
  const half = 'POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{';
  await new Promise((resolve) => socket.write(half, resolve));
  socket.destroy();
  await cut.promise;
  await server.stop();
  expect(lines).toEqual([]);
});
