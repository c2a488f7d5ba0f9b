import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import * as errors from '../../src/errors.ts';
import { retryAfterMs } from '../../src/rest-api/retry.ts';
import { createRestClient, type RestClient, type RestClientOptions } from '../../src/rest-api-door.ts';
import { deferred } from '../../src/util/deferred.ts';
import { deadUrl, HttpKit, json, TcpKit } from '../support/http-kit.ts';
import { late } from '../support/late.ts';

let server: HttpKit;
const opened: { close(): Promise<unknown> }[] = [];

beforeEach(async () => {
  server = keep(await HttpKit.open());
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((part) => part.close()));
});

function keep<Part extends { close(): Promise<unknown> }>(part: Part): Part {
  opened.push(part);
  return part;
}

const client = (options: Partial<RestClientOptions> = {}): RestClient =>
  keep(createRestClient({ host: server.url, retry: { initialDelay: '5ms', maxDelay: '20ms' }, ...options }));

const failure = (call: Promise<unknown>): Promise<errors.RestApiError> =>
  call.then(
    (result) => Promise.reject(new Error(`it succeeded with ${JSON.stringify(result)}`)),
    (error: errors.RestApiError) => error,
  );

async function timed<T>(call: Promise<T>): Promise<{ value: T; ms: number }> {
  const started = performance.now();
  const value = await call;
  return { value, ms: performance.now() - started };
}

describe('each status has its class', () => {
  it.each([
    [400, errors.RestApiBadRequestError, errors.RestApiClientError],
    [401, errors.RestApiUnauthorizedError, errors.RestApiClientError],
    [403, errors.RestApiForbiddenError, errors.RestApiClientError],
    [404, errors.RestApiNotFoundError, errors.RestApiClientError],
    [409, errors.RestApiClientError, errors.RestApiError],
    [500, errors.RestApiServerError, errors.RestApiError],
    [502, errors.RestApiBadGatewayError, errors.RestApiServerError],
    [503, errors.RestApiServerError, errors.RestApiError],
    [504, errors.RestApiGatewayTimeoutError, errors.RestApiServerError],
    [599, errors.RestApiServerError, errors.RestApiError],
    [304, errors.RestApiRedirectError, errors.RestApiError],
  ])('%i', async (status, Class, Parent) => {
    server.answer = (_, response) => json(response, { reason: 'canary' }, status);
    const error = await failure(client().post('x?token=canary'));
    expect(error.constructor).toBe(Class);
    expect(error).toBeInstanceOf(Parent);
    expect(error).toMatchObject({ method: 'POST', url: `${server.url}/x`, statusCode: status });
    if (status !== 304) expect(error.responseBody).toEqual({ reason: 'canary' });
  });

  it('with a body that is no JSON, or is said to be and is not', async () => {
    server.answer = (_, response) => response.writeHead(500, { 'content-type': 'text/html' }).end('<h1>');
    expect((await failure(client().post('x'))).responseBody).toBe('<h1>');
    server.answer = (_, response) => response.writeHead(500, { 'content-type': 'application/json' }).end('{"a":');
    expect((await failure(client().post('x'))).responseBody).toBe('{"a":');
  });

  it('the stack shows the line of the caller', async () => {
    server.answer = (_, response) => json(response, {}, 404);
    const error = await client()
      .get('x')
      .catch((reason: Error) => reason);
    expect((error as Error).stack).toContain('rest-faults.test.ts');
  });
});

describe('a server that cannot be reached, or breaks off', () => {
  it('refused: RestApiConnectionError, after as many attempts as are allowed', async () => {
    const error = await failure(client({ host: await deadUrl() }).get('x'));
    expect(error).toMatchObject({ code: 'SVC_COMM_REST_CONNECTION', method: 'GET' });
    expect(error.message).toContain('ECONNREFUSED');
  });

  it('a name that does not exist', async () => {
    const error = await failure(client({ host: 'http://nowhere.invalid' }).get('x'));
    expect(error).toBeInstanceOf(errors.RestApiConnectionError);
  });

  it('reset before, and in the middle of the answer: a GET is tried again', async () => {
    let attempt = 0;
    server.answer = (_, response, incoming) => {
      attempt += 1;
      if (attempt === 1) return incoming.socket.resetAndDestroy();
      if (attempt === 2) {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
        return response.write('{"half":', () => incoming.socket.resetAndDestroy());
      }
      return json(response, { attempt });
    };
    expect(await client().get('x')).toEqual({ attempt: 3 });
  });

  it('a chunked answer that ends in the middle is no answer', async () => {
    server.answer = (_, response, incoming) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('[1,2', () => incoming.socket.end());
    };
    expect(await failure(client({ retry: false }).get('x'))).toBeInstanceOf(errors.RestApiConnectionError);
  });

  it.each([
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['a header without a colon', 'HTTP/1.1 200 OK\r\nrubbish\r\n\r\n'],
    ['headers beyond all measure', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(200_000)}\r\n\r\n`],
  ])('%s: RestApiConnectionError', async (_, answer) => {
    const broken = keep(await TcpKit.open((socket) => socket.end(answer)));
    const error = await failure(client({ host: broken.url, retry: false }).get('x'));
    expect(error).toBeInstanceOf(errors.RestApiConnectionError);
  });
});

describe('headers that an answer has more than once', () => {
  it('are as node has them: the first of what is one, the others joined, a cookie in a list', async () => {
    server.answer = (_, response) => {
      response.writeHead(200, ['Retry-After', '1', 'Retry-After', '2', 'X-A', '1', 'X-A', '2', 'Set-Cookie', 'a=1']);
      response.end();
    };
    const { headers } = await client().head('x');
    expect(headers).toMatchObject({ 'retry-after': '1', 'x-a': '1, 2', 'set-cookie': ['a=1'] });
  });

  it('break neither the repeating nor the reading', async () => {
    server.answer = (_, response) => response.writeHead(503, ['Retry-After', '0', 'Retry-After', '0']).end();
    expect(await failure(client().get('x'))).toBeInstanceOf(errors.RestApiServerError);
    expect(server.asked('/x')).toHaveLength(3);
    server.answer = (_, response) =>
      response.writeHead(200, ['Content-Encoding', 'gzip', 'Content-Encoding', 'gzip']).end('x');
    expect(await failure(client().get('y'))).toBeInstanceOf(errors.RestApiUnreadableResponseError);
  });
});

describe('a stream as body', () => {
  const missing = () => createReadStream(join(import.meta.dirname, 'not-there'));

  it('that fails before anybody reads it fails the call, not the process', async () => {
    const api = client({ authUrl: 'login', username: 'u', password: 'p' });
    const stream = missing();
    // The login is answered when the file has turned out not to be there.
    const isGone = new Promise<void>((resolve) => stream.once('close', () => resolve()));
    server.answer = async (_, response) => {
      await isGone;
      json(response, { token: 't' });
    };
    const error = await failure(api.post('x', { data: stream }));
    expect(error).toMatchObject({ code: 'SVC_COMM_REST_ABORTED', cause: { code: 'ENOENT' } });
    expect(error.message).toMatch(/the stream that it sends failed: ENOENT/);
    expect(server.asked('/x')).toEqual([]);
  });

  it('that fails says nothing of the host', async () => {
    const api = client({ breaker: { failures: 1 } });
    expect(await failure(api.post('x', { data: missing() }))).toBeInstanceOf(errors.RestApiAbortedError);
    const halfWay = Readable.from(
      (async function* () {
        yield 'a';
        throw new Error('no more of it');
      })(),
    );
    const error = await failure(api.put('x', { data: halfWay }));
    expect(error).toMatchObject({ code: 'SVC_COMM_REST_ABORTED', cause: { message: 'no more of it' } });
    expect(await api.get('x')).toEqual({ ok: true });
  });

  it('that is longer than maxBodyLength fails the call there, closes, and says nothing of the host', async () => {
    const api = client({ breaker: { failures: 1 } });
    let chunks = 0;
    const endless = () =>
      Readable.from(
        (async function* () {
          for (;;) {
            chunks += 1;
            yield Buffer.alloc(1_000);
          }
        })(),
      );
    for (const options of [{}, { transformRequest: (data: unknown) => data }]) {
      chunks = 0;
      const data = endless();
      const error = await failure(api.post('long', { data, maxBodyLength: 10_500, ...options }));
      expect(error).toMatchObject({ code: 'SVC_COMM_MESSAGE_TOO_LARGE', bytes: 11_000, limitBytes: 10_500 });
      expect(chunks).toBeLessThan(50);
      expect(data.destroyed).toBe(true);
    }
    expect(await api.post('fits', { data: Readable.from(['ä', 'b']), maxBodyLength: 3 })).toEqual({ ok: true });
    expect(await api.post('fits', { data: Readable.from(['ä', 'b']), maxBodyLength: -1 })).toEqual({ ok: true });
    expect(server.asked('/fits').map(({ body }) => body)).toEqual(['äb', 'äb']);
  });

  it('is not to blame for a connection that breaks under it', async () => {
    const tcp = keep(await TcpKit.open((socket) => socket.resetAndDestroy()));
    const endless = Readable.from(
      (async function* () {
        for (;;) yield Buffer.alloc(65_536);
      })(),
    );
    const error = await failure(client({ host: tcp.url }).put('x', { data: endless }));
    expect(error).toBeInstanceOf(errors.RestApiConnectionError);
    expect(endless.destroyed).toBe(true);
  });

  it('is closed when it is not sent', async () => {
    const api = client({ host: await deadUrl(), breaker: { failures: 1 } });
    for (const path of ['../x', 'unreachable', 'circuit-open']) {
      const data = createReadStream(import.meta.filename);
      await failure(api.post(path, { data }));
      expect(data.destroyed, path).toBe(true);
    }
  });
});

describe('time', () => {
  it('a server that hangs costs the deadline and no more; the body counts as well', async () => {
    server.answer = () => undefined;
    const hung = await late(300, () => failure(client({ timeoutMs: 300 }).get('x')));
    expect(hung.value).toMatchObject({ code: 'SVC_COMM_REST_TIMEOUT', timeoutMs: 300 });
    expect(hung.lateMs).toBeLessThan(500);

    server.answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const drip = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(drip));
    };
    const slow = await late(300, () => failure(client().get('x', { timeoutMs: '300ms' })));
    expect(slow.value).toBeInstanceOf(errors.RestApiTimeoutError);
    expect(slow.lateMs).toBeLessThan(500);
  });

  it('the deadline is 10 s unless said otherwise', async () => {
    server.answer = () => undefined;
    const { value, ms, lateMs } = await late(10_000, () => failure(client().get('x')));
    expect(value).toMatchObject({ code: 'SVC_COMM_REST_TIMEOUT', timeoutMs: 10_000 });
    expect(ms).toBeGreaterThan(9900);
    expect(lateMs).toBeLessThan(500);
  });

  it('waiting for a free connection counts as well, and what waited is not sent afterwards', async () => {
    const release: (() => void)[] = [];
    server.answer = (_, response) => release.push(() => json(response, {}));
    const api = client({ connections: 1, retry: false });
    const first = api.get('first');
    const second = await failure(api.post('second', { timeoutMs: 100 }));
    expect(second).toBeInstanceOf(errors.RestApiTimeoutError);
    for (const go of release.splice(0)) go();
    await first;
    server.answer = (_, response) => json(response, {});
    await api.get('third');
    expect(server.seen.map(({ url }) => url)).toEqual(['/first', '/third']);
  });

  it('a signal ends the call at once, also one that has aborted before', async () => {
    server.answer = () => undefined;
    const abort = new AbortController();
    const { value, lateMs } = await late(50, () => {
      setTimeout(() => abort.abort(new Error('enough')), 50);
      return failure(client().get('x', { signal: abort.signal }));
    });
    expect(value).toMatchObject({ code: 'SVC_COMM_REST_ABORTED', cause: { message: 'enough' } });
    expect(lateMs).toBeLessThan(450);
    const asked = server.seen.length;
    expect(await failure(client().get('x', { signal: AbortSignal.abort() }))).toBeInstanceOf(
      errors.RestApiAbortedError,
    );
    // Nor is anything sent to log in first.
    const login = client({ authUrl: 'login', username: 'u', password: 'p' });
    expect(await failure(login.get('x', { signal: AbortSignal.abort() }))).toBeInstanceOf(errors.RestApiAbortedError);
    expect(server.seen).toHaveLength(asked);
  });

  it('a client that is closed waits for calls under way, also between two of their requests', async () => {
    let attempts = 0;
    const isAsked = deferred();
    server.answer = (request, response) => {
      if (request.url === '/login') return json(response, { token: 't' });
      attempts += 1;
      isAsked.resolve();
      return attempts === 1 ? json(response, {}, 503) : json(response, { attempts });
    };
    const api = client({ authUrl: 'login', username: 'u', password: 'p' });
    const [call, closed] = [api.get('x'), api.close()];
    await isAsked.promise;
    expect(await failure(api.get('y'))).toBeInstanceOf(errors.RestApiAbortedError);
    expect(await call).toEqual({ attempts: 2 });
    await closed;
    expect(server.asked('/y')).toEqual([]);
  });

  it('a closed client sends nothing more', async () => {
    const api = client();
    await api.get('x');
    await api.close();
    expect(await failure(api.get('x'))).toBeInstanceOf(errors.RestApiAbortedError);
    expect(server.seen).toHaveLength(1);
  });
});

describe('repeating', () => {
  /** Answers and breaks that a server may give, in turn for each request. */
  const TROUBLES = ['reset', 'half', 429, 502, 503, 504] as const;

  it('a POST or PATCH is never sent twice without an Idempotency-Key', async () => {
    for (const trouble of TROUBLES) {
      for (const method of ['post', 'patch'] as const) {
        server.seen.length = 0;
        server.answer = (_, response, incoming) => {
          if (trouble === 'reset') return incoming.socket.resetAndDestroy();
          if (trouble !== 'half') return json(response, {}, trouble, { 'retry-after': '0' });
          response.writeHead(200, { 'content-length': '9' });
          return response.write('{', () => incoming.socket.resetAndDestroy());
        };
        await failure(client()[method]('pay', { json: { amount: 1 } }));
        expect(server.seen, `${method}, ${trouble}`).toHaveLength(1);
      }
    }
  });

  it('nor when a kept connection dies under it', async () => {
    const api = client({ connections: 1 });
    await api.get('warm');
    server.answer = (_, __, incoming) => incoming.socket.resetAndDestroy();
    await failure(api.post('pay'));
    expect(server.asked('/pay')).toHaveLength(1);
  });

  it.each(['get', 'head', 'put', 'delete'] as const)('%s is, after each trouble', async (method) => {
    // Its answer has no body that could be cut in half.
    for (const trouble of TROUBLES.filter((kind) => method !== 'head' || kind !== 'half')) {
      let attempt = 0;
      server.answer = (_, response, incoming) => {
        attempt += 1;
        if (attempt === 2) return json(response, {});
        if (trouble === 'reset') return incoming.socket.resetAndDestroy();
        if (trouble !== 'half') return json(response, {}, trouble, { 'retry-after': '0' });
        response.writeHead(200, { 'content-length': '9' });
        response.flushHeaders();
        return incoming.socket.resetAndDestroy();
      };
      const api = client();
      await (method === 'head' ? api.head('x') : api[method]('x'));
      expect(attempt, String(trouble)).toBe(2);
    }
  });

  it('a POST with an Idempotency-Key is, with the same key and body', async () => {
    let attempt = 0;
    server.answer = (_, response, incoming) =>
      ++attempt === 1 ? incoming.socket.resetAndDestroy() : json(response, { attempt });
    const options = { json: { amount: 1 }, headers: { 'Idempotency-Key': 'k-1' } };
    expect(await client().post('pay', options)).toEqual({ attempt: 2 });
    expect(server.seen.map(({ body, headers }) => [body, headers['idempotency-key']])).toEqual([
      ['{"amount":1}', 'k-1'],
      ['{"amount":1}', 'k-1'],
    ]);
  });

  it('stops after the attempts, with the last answer', async () => {
    server.answer = (_, response) => json(response, { n: server.seen.length }, 503);
    const error = await failure(client({ retry: { attempts: 4, initialDelay: 1 } }).get('x'));
    expect(server.seen).toHaveLength(4);
    expect(error).toMatchObject({ statusCode: 503, responseBody: { n: 4 } });
  });

  it('waits as long as Retry-After says, or gives up at once when the deadline comes first', async () => {
    server.answer = (_, response) =>
      server.seen.length === 1 ? json(response, {}, 503, { 'retry-after': '1' }) : json(response, {});
    const waited = await timed(client().get('x'));
    expect(waited.ms).toBeGreaterThan(990);
    server.seen.length = 0;
    server.answer = (_, response) =>
      json(response, {}, 429, { 'retry-after': new Date(Date.now() + 60_000).toUTCString() });
    const [gaveUp, plain] = await Promise.all([timed(failure(client().get('x'))), timed(fetch(`${server.url}/plain`))]);
    expect(gaveUp.value.statusCode).toBe(429);
    expect(gaveUp.ms - plain.ms).toBeLessThan(500);
    expect(server.asked('/x')).toHaveLength(1);
  });

  it.each([
    ['2', 2000],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 7000],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 7000],
    ['Sun Nov  6 08:49:37 1994', 7000],
    ['Sun, 06 Nov 1994 08:49:00 GMT', 0],
    ['1.5', undefined],
    ['-5', undefined],
    ['soon', undefined],
  ])('reads Retry-After: %s, in whatever time zone', (value, ms) => {
    vi.stubEnv('TZ', 'America/New_York');
    expect(retryAfterMs(value, Date.UTC(1994, 10, 6, 8, 49, 30))).toBe(ms);
    vi.unstubAllEnvs();
  });

  it('waits as long as Retry-After says by the clock of who says it, and never for less than the back-off', async () => {
    const theirs = Date.now() - 3_600_000;
    const date = (ms: number) => new Date(ms).toUTCString();
    server.answer = (_, response) =>
      json(response, {}, 503, { date: date(theirs), 'retry-after': date(theirs + 60_000) });
    const gaveUp = await failure(client().get('x'));
    expect([gaveUp.statusCode, server.seen.length]).toEqual([503, 1]);
    const random = vi.spyOn(Math, 'random').mockReturnValue(0);
    onTestFinished(() => random.mockRestore());
    server.answer = (_, response) => json(response, {}, 503, { 'retry-after': '0' });
    const backedOff = await timed(
      failure(client({ retry: { attempts: 2, initialDelay: '200ms', maxDelay: '200ms' } }).get('y')),
    );
    expect(backedOff.ms).toBeGreaterThan(190);
  });

  it('is not done after 500, 4xx or a rubbish answer', async () => {
    for (const status of [500, 501, 400, 404, 409]) {
      server.seen.length = 0;
      server.answer = (_, response) => json(response, {}, status);
      await failure(client().get('x'));
      expect(server.seen, String(status)).toHaveLength(1);
    }
  });
});

describe('the breaker', () => {
  it('leaves a host alone after failures in a row, others not, and comes back by one request', async () => {
    const other = keep(await HttpKit.open());
    const api = client({ breaker: { failures: 3, openFor: 200 }, retry: false });
    server.answer = (_, response) => json(response, {}, 503);
    for (let i = 0; i < 3; i++) await failure(api.get('x'));
    const refused = await timed(failure(api.get('x')));
    expect(refused.value).toMatchObject({ code: 'SVC_COMM_REST_CIRCUIT_OPEN', origin: server.url });
    expect(server.seen).toHaveLength(3);
    expect(await api.get('x', { extraHost: other.url })).toEqual({ ok: true });

    const release: (() => void)[] = [];
    server.answer = (_, response) => release.push(() => json(response, { back: true }));
    await expect
      .poll(async () => {
        const trial = api.get('x').catch((error: Error) => error);
        if (server.seen.length === 3) await new Promise((resolve) => setTimeout(resolve, 20));
        for (const go of release.splice(0)) go();
        return trial;
      })
      .toEqual({ back: true });
    server.answer = (_, response) => json(response, { back: true });
    expect(await Promise.all([api.get('x'), api.get('x')])).toEqual([{ back: true }, { back: true }]);
  });

  it('lets one request through to see, and does not make the others wait for it', async () => {
    const api = client({ breaker: { failures: 1, openFor: 50 }, retry: false, timeoutMs: 500 });
    server.answer = (_, response) => json(response, {}, 503);
    await failure(api.get('x'));
    server.answer = () => undefined;
    await new Promise((resolve) => setTimeout(resolve, 60));
    const trial = failure(api.get('x'));
    const next = await timed(failure(api.get('x')));
    expect(next.value).toBeInstanceOf(errors.RestApiCircuitOpenError);
    expect(next.ms).toBeLessThan(200);
    expect(await trial).toBeInstanceOf(errors.RestApiTimeoutError);
  });

  it('lets the next request through to see when the caller of the one before went away', async () => {
    const api = client({ breaker: { failures: 1, openFor: 500 }, retry: false });
    server.answer = (_, response) => json(response, {}, 503);
    await failure(api.get('x'));
    await new Promise((resolve) => setTimeout(resolve, 520));
    // Before it was sent, and while it was under way.
    expect(await failure(api.get('x', { signal: AbortSignal.abort() }))).toBeInstanceOf(errors.RestApiAbortedError);
    server.answer = () => undefined;
    expect(await failure(api.get('x', { signal: AbortSignal.timeout(30) }))).toBeInstanceOf(errors.RestApiAbortedError);
    server.answer = (_, response) => json(response, { back: true });
    expect(await api.get('x')).toEqual({ back: true });
    // What fails then leaves it alone again.
    server.answer = (_, response) => json(response, {}, 503);
    await failure(api.get('x'));
    await new Promise((resolve) => setTimeout(resolve, 520));
    expect(await failure(api.get('x', { signal: AbortSignal.abort() }))).toBeInstanceOf(errors.RestApiAbortedError);
    expect(await failure(api.get('x'))).toBeInstanceOf(errors.RestApiServerError);
    expect(await failure(api.get('x'))).toBeInstanceOf(errors.RestApiCircuitOpenError);
  });

  it('leaves a host alone for its time and no longer, though the clock is set back', async () => {
    const api = client({ breaker: { failures: 1, openFor: 2_000 }, retry: false });
    server.answer = (_, response) => json(response, {}, 503);
    await failure(api.get('x'));
    expect(await failure(api.get('x'))).toBeInstanceOf(errors.RestApiCircuitOpenError);
    const { now } = Date;
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() - 3_600_000);
    onTestFinished(() => clock.mockRestore());
    server.answer = (_, response) => json(response, { back: true });
    await expect.poll(() => api.get('x').catch((error: Error) => error), { timeout: 10_000 }).toEqual({ back: true });
  });

  it('counts nothing of what was sent before it opened: neither for nor against the host', async () => {
    const api = client({ breaker: { failures: 1, openFor: '1h' }, retry: false });
    const answers: ((status: number) => void)[] = [];
    server.answer = (_, response) => answers.push((status) => json(response, {}, status));
    const calls = [503, 200, 503].map((status) => ({ status, call: api.get('x').catch((error: Error) => error) }));
    await expect.poll(() => answers.length).toBe(3);
    for (const [n, { status, call }] of calls.entries()) {
      answers[n]?.(status);
      await call;
      expect(await failure(api.get('x'))).toBeInstanceOf(errors.RestApiCircuitOpenError);
    }
  });

  it('does not open for what the host does not like: 4xx, 500, callers who go away', async () => {
    const api = client({ breaker: { failures: 2 }, retry: false });
    for (const status of [400, 401, 404, 500]) {
      server.answer = (_, response) => json(response, {}, status);
      await failure(api.get('x'));
    }
    server.answer = () => undefined;
    for (let i = 0; i < 4; i++) await failure(api.get('x', { signal: AbortSignal.timeout(20) }));
    server.answer = (_, response) => json(response, { fine: true });
    expect(await api.get('x')).toEqual({ fine: true });
  });
});

describe('answers that are too much', () => {
  const MIB = 1024 * 1024;

  it('1 GB is cut off at the limit, with a length or without', async () => {
    for (const withLength of [true, false]) {
      let sent = 0;
      const gone = new Promise<void>((resolve) => {
        server.answer = (_, response) => {
          response.writeHead(200, { ...(withLength ? { 'content-length': String(1024 * MIB) } : {}) });
          const chunk = Buffer.alloc(64 * 1024, 'x');
          const more = (): void => {
            while (!response.destroyed && sent < 1024 * MIB) {
              sent += chunk.length;
              if (!response.write(chunk)) return void response.once('drain', more);
            }
          };
          response.once('close', resolve);
          more();
        };
      });
      const before = process.memoryUsage.rss();
      const error = await failure(client({ retry: false }).get('x', { responseType: 'text' }));
      expect(error).toMatchObject({ code: 'SVC_COMM_REST_RESPONSE_TOO_LARGE', limitBytes: 16 * MIB });
      await gone;
      expect(sent).toBeLessThan(64 * MIB);
      expect(process.memoryUsage.rss() - before).toBeLessThan(128 * MIB);
      sent = 0;
    }
  });

  it('maxResponseBytes of the client, maxContentLength of the request', async () => {
    server.answer = (_, response) => json(response, 'x'.repeat(100));
    const api = client({ maxResponseBytes: 102 });
    expect(await api.get('x')).toHaveLength(100);
    expect(await failure(api.get('x', { maxContentLength: 101 }))).toMatchObject({ limitBytes: 101 });
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', (body: Buffer) => brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 3 } })],
  ])('%s: refused unless it is asked for, and a bomb is stopped at the limit', async (encoding, compress) => {
    // Before the first request: it takes seconds, and the server gives up connections on which nothing was asked for so long.
    const bomb = compress(Buffer.alloc(128 * MIB));
    expect(bomb.length).toBeLessThan(MIB);
    const send = (body: Buffer) => {
      server.answer = (_, response) =>
        response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding }).end(body);
    };
    send(compress(Buffer.from('{"a":1}')));
    const api = client({ maxResponseBytes: MIB, retry: false });
    expect(await failure(api.get('x'))).toMatchObject({ code: 'SVC_COMM_REST_UNREADABLE_RESPONSE' });
    expect(server.seen.at(-1)?.headers['accept-encoding']).toBeUndefined();
    expect(await api.get('x', { decompress: true })).toEqual({ a: 1 });
    expect(server.seen.at(-1)?.headers['accept-encoding']).toContain(encoding);

    send(bomb);
    const before = process.memoryUsage.rss();
    expect(await failure(api.get('x', { decompress: true }))).toMatchObject({ limitBytes: MIB });
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * MIB);

    send(Buffer.from('no such thing'));
    expect(await failure(api.get('x', { decompress: true }))).toBeInstanceOf(errors.RestApiUnreadableResponseError);
  });

  it.each(['zstd', 'gzip, gzip', 'constructor'])('content encoding %s is refused', async (encoding) => {
    server.answer = (_, response) => response.writeHead(200, { 'content-encoding': encoding }).end('x');
    expect(await failure(client().get('x', { decompress: true }))).toBeInstanceOf(
      errors.RestApiUnreadableResponseError,
    );
  });

  it.each([
    ['rubbish', '{"a":'],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['a key that reaches for a prototype', '{"__proto__":{"isAdmin":true}}'],
    ['the same, escaped', '{"\\u005f_proto__":{"isAdmin":true}}'],
    ['100,000 arrays in each other', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  ])('JSON with %s is refused', async (_, body) => {
    server.answer = (__, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(body);
    expect(await failure(client().get('x'))).toBeInstanceOf(errors.RestApiUnreadableResponseError);
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });
});
