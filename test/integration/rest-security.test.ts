import { Readable } from 'node:stream';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError, RestApiLoginError, RestApiRedirectError } from '../../src/errors.ts';
import { fullResponse } from '../../src/rest-api/formatter.ts';
import { createRestClient, type RestClient, type RestClientOptions } from '../../src/rest-api-door.ts';
import { HttpKit, json, type Seen, TcpKit } from '../support/http-kit.ts';

const PASSWORD = 'canary-password';
const TOKEN = 'canary-token';

let home: HttpKit;
let foreign: HttpKit;
/** Tokens that the server takes at the moment. */
let valid: Set<string>;
let issued: number;
const opened: { close(): Promise<unknown> }[] = [];

const bearer = ({ headers }: Seen): string => headers.authorization?.replace('Bearer ', '') ?? '';

beforeEach(async () => {
  valid = new Set();
  issued = 0;
  home = await HttpKit.open((request, response) => {
    if (request.url === '/api/login') {
      if (!request.body.includes(PASSWORD)) return json(response, { detail: PASSWORD }, 401);
      issued += 1;
      valid.add(`${TOKEN}-${issued}`);
      return json(response, { access_token: `${TOKEN}-${issued}` });
    }
    return valid.has(bearer(request)) ? json(response, { url: request.url }) : json(response, {}, 401);
  });
  foreign = await HttpKit.open();
  opened.push(home, foreign);
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((part) => part.close()));
});

function client(options: Partial<RestClientOptions> = {}): RestClient {
  const made = createRestClient({
    host: `${home.url}/api`,
    authUrl: 'login',
    username: 'u',
    password: PASSWORD,
    retry: false,
    ...options,
  });
  opened.push(made);
  return made;
}

const everythingSeen = (kit: HttpKit): string => JSON.stringify(kit.seen);

describe('the token', () => {
  it('is fetched once, and sent as a bearer', async () => {
    const api = client();
    await Promise.all(Array.from({ length: 50 }, () => api.get('x')));
    await api.post('y');
    expect(home.asked('/api/login')).toMatchObject([
      { method: 'POST', body: JSON.stringify({ username: 'u', password: PASSWORD }) },
    ]);
    expect(new Set(home.asked('/api/x').map(bearer))).toEqual(new Set([`${TOKEN}-1`]));
  });

  it('is fetched anew by one login for 100 requests that get 401 at the same time, and all of them succeed', async () => {
    const api = client();
    await api.get('warm');
    valid.clear();
    home.seen.length = 0;
    const methods = ['get', 'post', 'put', 'delete'] as const;
    const calls = Array.from({ length: 100 }, (_, i) => api[methods[i % 4] ?? 'get'](`x/${i}`, { json: { i } }));
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 100 }, (_, i) => ({ url: `/api/x/${i}` })));
    expect(home.asked('/api/login')).toHaveLength(1);
    const withOld = home.seen.filter((request) => bearer(request) === `${TOKEN}-1`);
    const withNew = home.seen.filter((request) => bearer(request) === `${TOKEN}-2`);
    expect(withOld).toHaveLength(100);
    expect(withNew).toHaveLength(100);
  });

  it('is fetched anew once for a request; a second 401 is the caller’s', async () => {
    const api = client();
    home.answer = (request, response) =>
      request.url === '/api/login' ? json(response, { token: 'never-good' }) : json(response, { no: true }, 401);
    await expect(api.get('x')).rejects.toMatchObject({
      code: 'SVC_COMM_REST_UNAUTHORIZED',
      responseBody: { no: true },
    });
    expect(home.asked('/api/x')).toHaveLength(2);
    expect(home.asked('/api/login')).toHaveLength(2);
  });

  it('is fetched anew after a stream got 401: the caller who sends another one succeeds', async () => {
    const api = client();
    await api.get('x');
    valid.clear();
    const upload = () => api.put('x', { data: Readable.from(['hello']) });
    await expect(upload()).rejects.toMatchObject({ statusCode: 401 });
    expect(await upload()).toEqual({ url: '/api/x' });
    expect(home.asked('/api/login')).toHaveLength(2);
  });

  it('never reaches a second origin by extraHost', async () => {
    const api = client();
    await api.get('warm');
    await api.get('x', { extraHost: foreign.url });
    await api.post('x', { extraHost: `${foreign.url}/deep/er`, json: {} });
    // The same machine under another name is another origin.
    await api.get('x', { extraHost: foreign.url.replace('127.0.0.1', 'localhost') }).catch(() => undefined);
    expect(foreign.seen.length).toBeGreaterThanOrEqual(2);
    expect(everythingSeen(foreign)).not.toContain(TOKEN);
    expect(home.asked('/api/login')).toHaveLength(1);
  });

  it.each([301, 302, 303, 307, 308])(
    'never reaches a second origin by redirect %i, followed or not',
    async (status) => {
      const api = client();
      await api.get('warm');
      home.answer = (_, response) => response.writeHead(status, { location: `${foreign.url}/caught?a=1` }).end();
      const refused = await api.get('x').catch((error: Error) => error);
      expect(refused).toBeInstanceOf(RestApiRedirectError);
      expect(refused).toMatchObject({ statusCode: status, location: `${foreign.url}/caught` });
      expect(foreign.seen).toEqual([]);

      const headers = { 'x-api-key': TOKEN, cookie: TOKEN, authorization: `Bearer ${TOKEN}`, 'x-correlation-id': 'c' };
      for (const options of [{}, { headers }]) {
        expect(await api.get('x', { ...options, maxRedirects: 3 })).toEqual({ ok: true });
      }
      expect(foreign.seen.map(({ url }) => url)).toEqual(['/caught?a=1', '/caught?a=1']);
      expect(everythingSeen(foreign)).not.toContain(TOKEN);
      expect(foreign.seen[1]?.headers['x-correlation-id']).toBe('c');
    },
  );

  it('is not sent to its own origin when another origin’s redirect leads there', async () => {
    const api = client();
    await api.get('warm');
    const before = home.seen.length;
    foreign.answer = (_, response) => response.writeHead(302, { location: `${home.url}/api/delete-all` }).end();
    await expect(api.get('x', { extraHost: foreign.url, maxRedirects: 3 })).rejects.toMatchObject({ statusCode: 401 });
    expect(home.seen.slice(before).map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it('is sent along a redirect within its origin', async () => {
    const api = client();
    const { answer } = home;
    home.answer = (request, response, incoming) =>
      request.url === '/api/old'
        ? response.writeHead(301, { location: 'new' }).end()
        : answer(request, response, incoming);
    expect(await api.get('old', { maxRedirects: 1 })).toEqual({ url: '/api/new' });
  });

  it('is not sent with noAuth, nor beside an Authorization of the caller', async () => {
    const api = client();
    await api.get('x', { noAuth: true }).catch(() => undefined);
    await api.get('x', { headers: { authorization: 'Bearer mine' } }).catch(() => undefined);
    expect(home.seen.map(({ headers }) => headers.authorization)).toEqual([undefined, 'Bearer mine']);
  });

  it('a login that fails fails every waiting caller, and the next request logs in anew', async () => {
    const { answer } = home;
    const api = client();
    home.answer = (_, response) => json(response, { detail: PASSWORD }, 503);
    const failures = await Promise.all(Array.from({ length: 10 }, () => api.get('x').catch((error: Error) => error)));
    expect(failures.every((error) => error instanceof RestApiLoginError)).toBe(true);
    expect(home.seen).toHaveLength(1);
    home.answer = answer;
    expect(await api.get('x')).toEqual({ url: '/api/x' });
  });

  it('a caller who goes away does not take the login from the others', async () => {
    const { answer } = home;
    let letIn = (): unknown => undefined;
    const api = client();
    home.answer = (request, response, incoming) => {
      letIn = () => answer(request, response, incoming);
    };
    const abort = new AbortController();
    const first = api.get('x', { signal: abort.signal }).catch((error: Error) => error.constructor.name);
    const second = api.get('x');
    await expect.poll(() => home.seen.length).toBe(1);
    abort.abort();
    expect(await first).toBe('RestApiAbortedError');
    home.answer = answer;
    letIn();
    expect(await second).toEqual({ url: '/api/x' });
    expect(home.asked('/api/login')).toHaveLength(1);
  });

  it.each([
    ['no token', { ok: true }],
    ['a token that would split the header', { access_token: 'a\r\nx-evil: 1' }],
    ['a list', ['token']],
  ])('a login that answers with %s is refused', async (_, answer) => {
    home.answer = (__, response) => json(response, answer);
    await expect(client().get('x')).rejects.toBeInstanceOf(RestApiLoginError);
  });
});

describe('redirects', () => {
  it('carry no body to another origin, and end after maxRedirects', async () => {
    const api = client({ authUrl: undefined, username: undefined, password: undefined });
    home.answer = (_, response) => response.writeHead(307, { location: foreign.url }).end();
    await expect(api.post('x', { json: { secret: 1 }, maxRedirects: 3 })).rejects.toThrow(
      /a body goes to no other origin/,
    );
    expect(foreign.seen).toEqual([]);
    home.answer = (_, response) => response.writeHead(302, { location: 'again' }).end();
    home.seen.length = 0;
    await expect(api.get('x', { maxRedirects: 2 })).rejects.toThrow(/more than 2 in a row/);
    expect(home.seen).toHaveLength(3);
  });

  it.each(['file:///etc/passwd', 'http://user:pass@127.0.0.1/', 'javascript:1', 'http://', 'gopher://x'])(
    'to %s are not followed',
    async (location) => {
      const api = client({ authUrl: undefined, username: undefined, password: undefined });
      home.answer = (_, response) => response.writeHead(302, { location }).end();
      const error = await api.get('x', { maxRedirects: 5 }).catch((reason: Error) => reason);
      expect(error).toBeInstanceOf(RestApiRedirectError);
      expect(String(error)).not.toContain('user:pass');
    },
  );

  it.each([
    [304, {}, /it is no redirect; say validateStatus/],
    [302, {}, /it does not say where/],
  ])('an answer %i that leads nowhere is told as that', async (status, headers, text) => {
    const api = client({ authUrl: undefined, username: undefined, password: undefined });
    home.answer = (_, response) => response.writeHead(status, headers).end();
    const given = { headers: { 'if-none-match': '"1"' }, maxRedirects: 1 };
    await expect(api.get('x', given)).rejects.toThrow(text);
    await expect(api.get('x', { ...given, maxRedirects: 0 })).rejects.toThrow(text);
    const taken = await api.head('x', { ...given, validateStatus: null });
    expect(taken.status).toBe(status);
  });

  it('turn a POST into a GET without its body after 303', async () => {
    const api = client({ authUrl: undefined, username: undefined, password: undefined });
    home.answer = (request, response) =>
      request.method === 'POST' ? response.writeHead(303, { location: '/api/result' }).end() : json(response, {});
    await api.post('x', { json: { a: 1 }, maxRedirects: 1 });
    expect(home.seen.at(-1)).toMatchObject({ method: 'GET', url: '/api/result', body: '' });
    expect(home.seen.at(-1)?.headers['content-type']).toBeUndefined();
  });

  it.each([301, 302])('leave a PUT, PATCH or DELETE what it is after %i, with its body', async (status) => {
    const api = client({ authUrl: undefined, username: undefined, password: undefined });
    home.answer = (request, response) =>
      request.url === '/api/x' ? response.writeHead(status, { location: 'y' }).end() : json(response, {});
    for (const method of ['put', 'patch', 'delete'] as const) {
      await api[method]('x', { json: { a: 1 }, maxRedirects: 1 });
      expect(home.seen.at(-1)).toMatchObject({ method: method.toUpperCase(), url: '/api/y', body: '{"a":1}' });
    }
    await api.post('x', { json: { a: 1 }, maxRedirects: 1 });
    expect(home.seen.at(-1)).toMatchObject({ method: 'GET', url: '/api/y', body: '' });
  });

  it.each([307, 308])('never send what is left of a stream: %i is refused', async (status) => {
    const api = client({ authUrl: undefined, username: undefined, password: undefined });
    home.answer = (request, response) =>
      request.url === '/api/x' ? response.writeHead(status, { location: 'y' }).end() : json(response, {});
    const call = api.put('x', { data: Readable.from(['hello']), maxRedirects: 1 });
    await expect(call).rejects.toThrow(/a stream cannot be sent again/);
    expect(home.seen.map(({ url, body }) => [url, body])).toEqual([['/api/x', 'hello']]);
  });
});

/** Ways out of `http://home/api/` that were seen in the wild, in each way of writing them. */
function vectors(target: string): string[] {
  const host = target.replace('http://', '');
  const absolute = [
    target,
    `${target}/x`,
    target.toUpperCase(),
    `//${host}`,
    `///${host}`,
    `////${host}`,
    `/\\${host}`,
    `\\\\${host}`,
    `\\/${host}`,
    `http:${host}`,
    `http:/${host}`,
    `http:\\\\${host}`,
    `http:///${host}`,
    `https://${host}`,
    `ws://${host}`,
    `file://${host}/etc/passwd`,
    `data:text/html,x`,
    `javascript:fetch('${target}')`,
    `@${host}`,
    `/@${host}`,
    `user:pass@${host}`,
    `:80@${host}`,
    `.${host}`,
    `:${host.split(':')[1]}@${host}`,
    `\t//${host}`,
    `\n//${host}`,
    `\r\n//${host}`,
    ` //${host}`,
    `h\nttp://${host}`,
    `ht\ttp://${host}`,
    `\0${target}`,
    `x\r\nHost: ${host}\r\n\r\nGET /`,
    `x HTTP/1.1\r\nHost: ${host}`,
    `x\nx-evil: 1`,
  ];
  const plain = ['..', '.', '%2e%2e', '%2E%2e', '.%2e', '%2e.', '%252e%252e', '%25252e%25252e', '..%00', '%2e'];
  // Path parameters, which Tomcat, Jetty and Spring take out before they look at dots.
  const parameters = ['..;', '.;', '..;x=1', '%2e%2e;', '%2e%2e;x', '..%3b', '..%3B;', '..%253bx', '%252e%252e%253b'];
  const dots = [...plain, ...parameters];
  const slashes = ['/', '\\', '%2f', '%5c', '%252f', '%255c'];
  const climbs = dots.flatMap((dot) =>
    slashes.flatMap((slash) => [
      `${dot}${slash}admin`,
      `x${slash}${dot}${slash}${dot}${slash}admin`,
      `/${dot}${slash}${dot}${slash}admin`,
      `x/y${slash}${dot}`,
    ]),
  );
  return [...absolute, ...climbs, '..', '../', '..;/admin#', 'x#y', '..?x', './..//admin'];
}

describe('the base path', () => {
  it('is not left by any of some 500 ways to write a path', async () => {
    const api = client({ authUrl: undefined, username: undefined, password: undefined });
    home.answer = (_, response) => json(response, {});
    const list = [...new Set(vectors(foreign.url))];
    expect(list.length).toBeGreaterThanOrEqual(450);
    let refused = 0;
    for (const path of list) {
      const outcome = await api.get(path, { timeoutMs: 2000 }).catch((error: Error) => error);
      if (outcome instanceof InvalidArgumentError) refused += 1;
    }
    expect(foreign.seen).toEqual([]);
    expect(home.seen.filter(({ url }) => !url.startsWith('/api/') || /admin/.test(decodeURIComponent(url)))).toEqual(
      [],
    );
    expect(refused).toBeGreaterThan(list.length * 0.9);
  });

  it('holds for any text (fast-check)', async () => {
    const api = client({ authUrl: undefined, username: undefined, password: undefined, host: `${home.url}/api` });
    home.answer = (_, response) => json(response, {});
    const pieces = fc.constantFrom(
      '/',
      '\\',
      '.',
      '..',
      '%2e',
      '%2f',
      '@',
      ':',
      '?',
      '#',
      ';',
      '\t',
      '\n',
      'http:',
      foreign.url,
      'x',
      '%',
    );
    const paths = fc.oneof(
      fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
    );
    await fc.assert(
      fc.asyncProperty(paths, async (path) => {
        await api.get(path, { timeoutMs: 2000 }).catch(() => undefined);
        return foreign.seen.length === 0 && home.seen.splice(0).every(({ url }) => url.startsWith('/api/'));
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['x', '/api/x'],
    ['/x', '/api/x'],
    ['', '/api/'],
    ['users/bob@example.com', '/api/users/bob@example.com'],
    ['a%20b/ü', '/api/a%20b/%C3%BC'],
    ['x?next=http://elsewhere//..', '/api/x?next=http://elsewhere//..'],
    ['..x/x..y', '/api/..x/x..y'],
    ['time/12:30', '/api/time/12:30'],
  ])('takes the path %j as %j', async (path, url) => {
    const api = client({ authUrl: undefined, username: undefined, password: undefined });
    home.answer = (_, response) => json(response, {});
    await api.get(path);
    expect(home.seen).toMatchObject([{ url }]);
  });

  it.each(['http://evil@127.0.0.1', 'file:///etc', '127.0.0.1', 'http://h\\@x', 'http://x?y', ''])(
    'extraHost %j is refused',
    async (extraHost) => {
      await expect(client().get('x', { extraHost })).rejects.toMatchObject({ argument: 'extraHost' });
    },
  );
});

describe('secrets', () => {
  it('are not in the error of an answer that is no HTTP', async () => {
    const tcp = await TcpKit.open((socket) =>
      socket.end(`HTTP/1.1 200 OK\r\nx-\0: 1\r\n\r\n{"access_token":"${TOKEN}"}`),
    );
    opened.push(tcp);
    const error = await client({ host: tcp.url })
      .get('x')
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'SVC_COMM_REST_CONNECTION', cause: { name: 'HTTPParserError' } });
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(TOKEN);
  });

  it('are in no error and no log line, whatever fails', async () => {
    const lines: string[] = [];
    const logger = pino(
      { level: 'debug', serializers: { error: pino.stdSerializers.err } },
      { write: (line: string) => void lines.push(line) },
    );
    const told: unknown[] = [];
    const { answer } = home;
    const attempt = async (call: Promise<unknown>): Promise<void> => {
      const error = await call.catch((reason: Error) => reason);
      expect(error).toBeInstanceOf(Error);
      told.push(inspect(error, { depth: 20, showHidden: true }), String((error as Error).stack), JSON.stringify(error));
      logger.error({ error, err: error }, 'failed');
    };
    const api = client({ logger, breaker: { failures: 2, openFor: 50 }, headers: { 'x-api-key': TOKEN } });
    const secret = { params: { key: TOKEN }, json: { password: PASSWORD }, headers: { 'x-secret': TOKEN } };
    await api.get('warm');
    for (const status of [302, 400, 404, 418, 500, 503]) {
      home.answer = (_, response) =>
        json(response, { echo: TOKEN }, status, { location: `http://u:${PASSWORD}@h/?t=${TOKEN}` });
      await attempt(api.post('x', secret));
      await attempt(api.get('x', { ...secret, maxRedirects: 2 }));
    }
    home.answer = (_, __, incoming) => incoming.socket.destroy();
    for (let i = 0; i < 4; i++) await attempt(api.post('x', secret));
    home.answer = () => undefined;
    await new Promise((resolve) => setTimeout(resolve, 60));
    await attempt(api.post('x', { ...secret, timeoutMs: 50 }));
    home.answer = (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(`{"${TOKEN}`);
    await new Promise((resolve) => setTimeout(resolve, 60));
    await attempt(api.post('x', secret));
    home.answer = (_, response) => json(response, { detail: PASSWORD }, 401);
    await attempt(api.post('x', secret));
    await attempt(client({ password: `${PASSWORD}-wrong` }).get('x', secret));
    await attempt(api.get('x', { headers: { 'x-secret': `${TOKEN}\r\n` } }));
    home.answer = answer;
    const response = await api.get('x', { responseFormatter: fullResponse }).catch(() => undefined);
    told.push(inspect(response, { depth: 20, showHidden: true }), inspect(api, { depth: 20 }), JSON.stringify(api));

    const everything = [...told.map(String), ...lines].join('\n');
    for (const canary of [TOKEN, PASSWORD]) {
      for (const form of [
        canary,
        encodeURIComponent(canary),
        Buffer.from(canary).toString('base64').replaceAll('=', ''),
      ]) {
        expect(everything.includes(form), form).toBe(false);
      }
    }
    expect(lines.length).toBeGreaterThan(15);
  });
});
