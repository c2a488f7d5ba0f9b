import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { close } from '../../src/default-service.ts';
import { InvalidArgumentError, RestApiUnreadableResponseError, UnserialisablePayloadError } from '../../src/errors.ts';
import {
  camelCaseResponse,
  fileResponse,
  fullResponse,
  jsonResponse,
  type RestResponse,
  snakeCaseRequest,
} from '../../src/rest-api/formatter.ts';
import { createRestClient, post, type RestClient, silent } from '../../src/rest-api-door.ts';
import { withCorrelation } from '../../src/util/correlation.ts';
import { requestCorrelation } from '../../src/util/request-correlation.ts';
import { HttpKit, json } from '../support/http-kit.ts';

let server: HttpKit;
let api: RestClient;

beforeEach(async () => {
  server = await HttpKit.open();
  api = createRestClient({ host: `${server.url}/base` });
});

afterEach(async () => {
  await api.close();
  await server.close();
});

const last = () => {
  const seen = server.seen.at(-1);
  if (!seen) throw new Error('nothing was asked');
  return seen;
};

describe('methods', () => {
  it.each(['get', 'post', 'put', 'patch', 'delete', 'del'] as const)('%s gives the parsed body', async (method) => {
    expect(await api[method]('things/1')).toEqual({ ok: true });
    expect(last()).toMatchObject({ method: method === 'del' ? 'DELETE' : method.toUpperCase(), url: '/base/things/1' });
  });

  it('head gives the whole answer', async () => {
    server.answer = (_, response) => response.writeHead(200, { 'x-total': '7' }).end();
    const response = await api.head('things');
    expect(response).toMatchObject({ status: 200, data: undefined, method: 'HEAD', url: `${server.url}/base/things` });
    expect(response.headers['x-total']).toBe('7');
  });

  it.each([204, 200])('an empty body with status %i is undefined', async (status) => {
    server.answer = (_, response) => response.writeHead(status).end();
    expect(await api.get('x')).toBeUndefined();
  });

  it('can be taken off the client', async () => {
    const { get } = api;
    expect(await get('x')).toEqual({ ok: true });
  });
});

describe('what is sent', () => {
  it('is what was given at the call, whatever becomes of it meanwhile', async () => {
    vi.stubEnv('SVC_COMM_APP_ID', 'given').stubEnv('SVC_COMM_REST_API_HOST', `${server.url}/base`);
    const paramsSerializer = { serialize: (params: unknown) => JSON.stringify(params) };
    try {
      for (const [send, more] of [
        [api.post, {}],
        [api.post, { paramsSerializer }],
        [post, {}],
        [post, {}],
      ] as const) {
        const given = { json: { list: ['given'] }, params: { a: 'given' }, headers: { 'x-mark': 'given' } };
        const sent = send('x', { ...given, ...more });
        given.json.list[0] = 'changed';
        given.params.a = 'changed';
        given.headers['x-mark'] = 'changed';
        await sent;
        const { url, headers, body } = last();
        expect(`${url} ${headers['x-mark']} ${body}`).toMatch(/given.* given .*given/);
        expect(`${url} ${headers['x-mark']} ${body}`).not.toContain('changed');
      }
    } finally {
      await close().finally(() => vi.unstubAllEnvs());
    }
  });

  it('is what was given at the call also where a formatter makes it, and in lists, forms and files', async () => {
    vi.stubEnv('SVC_COMM_APP_ID', 'given').stubEnv('SVC_COMM_REST_API_HOST', `${server.url}/base`);
    const asked = () => server.seen.splice(0).map(({ url, body }) => `${url} ${body}`);
    try {
      for (const send of [api.post, post]) {
        const json = { pageNumber: 0 };
        const sent = [1, 2, 3].map((page) => {
          json.pageNumber = page;
          return send('x', { json, requestFormatter: snakeCaseRequest });
        });
        await Promise.all(sent);
        expect(asked().toSorted()).toEqual([1, 2, 3].map((page) => `/base/x {"page_number":${page}}`));
        const [ids, list] = [[1], ['given']];
        const files: Record<string, string> = { note: 'given' };
        const formed = [send('x', { params: { ids }, data: { list } }), send('x', { files })];
        ids.push(2);
        list[0] = 'changed';
        files.note = 'changed';
        await Promise.all(formed);
        const lines = asked();
        expect(lines).toContain('/base/x?ids=1 list=given');
        expect(lines.join('')).toContain('name="note"');
        expect(lines.join('')).not.toContain('changed');
      }
    } finally {
      await close().finally(() => vi.unstubAllEnvs());
    }
  });

  it('params: lists repeat their name, null and undefined are left out, a Date is ISO 8601', async () => {
    const params = { page: 2, tag: ['a b', 'c&d'], none: null, off: undefined, at: new Date(0), yes: true };
    await api.get('x?fixed=1', { params });
    expect([...new URL(last().url, server.url).searchParams]).toEqual([
      ['fixed', '1'],
      ['page', '2'],
      ['tag', 'a b'],
      ['tag', 'c&d'],
      ['at', '1970-01-01T00:00:00.000Z'],
      ['yes', 'true'],
    ]);
  });

  it('json: as JSON, a string too', async () => {
    await api.post('x', { json: { a: [1, null], at: new Date(0) } });
    expect(last().body).toBe('{"a":[1,null],"at":"1970-01-01T00:00:00.000Z"}');
    expect(last().headers['content-type']).toBe('application/json');
    await api.post('x', { json: 'text' });
    expect(last().body).toBe('"text"');
  });

  it('data: an object as a form, text and bytes as they are', async () => {
    await api.post('x', { data: { a: 1, b: ['x', 'y'] } });
    expect(last()).toMatchObject({ body: 'a=1&b=x&b=y' });
    expect(last().headers['content-type']).toContain('application/x-www-form-urlencoded');
    await api.post('x', { data: 'plain', headers: { 'Content-Type': 'text/plain' } });
    expect(last()).toMatchObject({ body: 'plain', headers: { 'content-type': 'text/plain', 'content-length': '5' } });
    await api.post('x', { data: new Uint8Array([104, 105]) });
    expect(last().body).toBe('hi');
    expect(last().headers['content-type']).toBeUndefined();
  });

  it('files: a multipart form with data as further fields', async () => {
    await api.post('x', {
      data: { title: 'T' },
      files: { report: { content: Buffer.from('a,b'), name: 'r.csv', type: 'text/csv' }, note: 'n' },
    });
    const { headers, body } = last();
    expect(headers['content-type']).toMatch(/^multipart\/form-data; boundary=/);
    expect(body).toMatch(/name="title"\r\n\r\nT\r\n/);
    expect(body).toMatch(/name="report"; filename="r.csv"\r\nContent-Type: text\/csv\r\n\r\na,b\r\n/);
    expect(body).toMatch(/name="note"; filename="note"\r\n/);
  });

  it('bytes by whatever they are seen through', async () => {
    const { buffer } = new TextEncoder().encode('abcd');
    for (const data of [new DataView(buffer), new Uint32Array(buffer), buffer]) {
      await api.post('x', { data });
      expect(last().body).toBe('abcd');
    }
  });

  it('files: beside fields of any form, and a form of the caller stays as it was', async () => {
    await api.post('x', { data: new URLSearchParams({ note: 'hi' }), files: { doc: 'abc' } });
    expect(last().body).toMatch(/name="note"\r\n\r\nhi/);
    const data = new FormData();
    data.append('note', new File(['hi'], 'note.txt'));
    for (let i = 0; i < 2; i++) await api.post('x', { data, files: { doc: 'abc' } });
    expect([...data.keys()]).toEqual(['note']);
    expect(last().body).toMatch(/filename="note.txt"/);
    expect(last().body.match(/ name="doc"/g)).toHaveLength(1);
  });

  it('headers: those of the client to its own origin only, the request’s win', async () => {
    const other = await HttpKit.open();
    const client = createRestClient({ host: server.url, headers: { 'X-Api-Key': 'k', 'X-A': 'client' } });
    try {
      await client.get('x', { headers: { 'x-a': 'request', 'x-count': 3 } });
      expect(last().headers).toMatchObject({ 'x-api-key': 'k', 'x-a': 'request', 'x-count': '3' });
      await client.get('x', { extraHost: `${other.url}/other` });
      expect(other.seen).toMatchObject([{ url: '/other/x' }]);
      expect(other.seen[0]?.headers['x-api-key']).toBeUndefined();
    } finally {
      await client.close();
      await other.close();
    }
  });

  it('correlation id and traceparent of what is being handled', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await withCorrelation({ correlationId: 'c-1', traceparent }, () => api.get('x'));
    expect(last().headers).toMatchObject({ 'x-correlation-id': 'c-1', traceparent });
    await api.get('x');
    expect(last().headers).not.toHaveProperty('x-correlation-id');
    // As a request of others may have it.
    await withCorrelation(requestCorrelation({ headers: { 'x-request-id': 'order 7, retry' } }), () => api.get('x'));
    expect(last().headers).toMatchObject({ 'x-correlation-id': 'order 7, retry' });
    // An id comes from outside: it must not become a header of its own.
    await withCorrelation('a\r\nx-evil: 1', () => api.get('x'));
    expect(last().headers).not.toHaveProperty('x-evil');
    expect(last().headers).not.toHaveProperty('x-correlation-id');
  });

  it('any option of axios, handed to it as it is', async () => {
    server.answer = (_, response) => json(response, { status: 'odd' }, 418);
    const result = await api.post('x', {
      json: { a: 1 },
      params: { a: { b: 1 } },
      paramsSerializer: (params) => `raw=${Object.keys(params).join()}`,
      transformRequest: (data, headers) => {
        headers.set('x-made', 'yes');
        return `made of ${Object.keys(data)}`;
      },
      transformResponse: (text: string) => `${text}!`,
      validateStatus: (status) => status === 418,
      auth: { username: 'u', password: 'p' },
      responseFormatter: fullResponse,
    });
    expect(last()).toMatchObject({ url: '/base/x?raw=a', body: 'made of a' });
    expect(last().headers).toMatchObject({ 'x-made': 'yes', authorization: `Basic ${btoa('u:p')}` });
    expect(result).toMatchObject({ status: 418, data: '{"status":"odd"}!' });
  });
});

describe('transformRequest', () => {
  it('of json makes JSON, unless it says otherwise', async () => {
    await api.post('x', { json: { a: 1 }, transformRequest: (data) => JSON.stringify({ data }) });
    expect([last().headers['content-type'], last().body]).toEqual(['application/json', '{"data":{"a":1}}']);
    const transformRequest = (_: unknown, headers: { set(name: string, value: string): unknown }) => {
      headers.set('content-type', 'application/x-ndjson');
      return '{}';
    };
    await api.post('x', { json: { a: 1 }, transformRequest });
    expect(last().headers['content-type']).toBe('application/x-ndjson');
  });
});

describe('formatters', () => {
  it('request: applied to params, json and data', async () => {
    const parts: unknown[] = [];
    const requestFormatter = (value: unknown, part: string) => {
      parts.push([part, value]);
      return value;
    };
    await api.post('x', { params: { a: 1 }, json: { b: 2 }, requestFormatter });
    await api.post('x', { data: { c: 3 }, requestFormatter });
    expect(parts).toEqual([
      ['params', { a: 1 }],
      ['json', { b: 2 }],
      ['data', { c: 3 }],
    ]);
  });

  it('response: gets the whole answer, what it gives is the result', async () => {
    const responseFormatter = (response: RestResponse) => [response.status, response.data] as const;
    expect(await api.get('x', { responseFormatter })).toEqual([200, { ok: true }]);
  });

  it('snakeCaseRequest and camelCaseResponse rename keys and nothing else', async () => {
    const id = '6f1d6bd2-0000-4000-8000-000000000001';
    server.answer = (_, response) =>
      json(response, { user_id: 1, a_1: 2, [id]: { first_name: 'snake_case' }, list: [{ created_at: 'x' }] });
    const result = await api.post('x', {
      json: { userId: 1, HTTPStatus: 2, a1: 3, [id]: { firstName: 'camelCase' } },
      requestFormatter: snakeCaseRequest,
      responseFormatter: camelCaseResponse,
    });
    expect(JSON.parse(last().body)).toEqual({ user_id: 1, http_status: 2, a1: 3, [id]: { first_name: 'camelCase' } });
    expect(result).toEqual({ userId: 1, a_1: 2, [id]: { firstName: 'snake_case' }, list: [{ createdAt: 'x' }] });
  });

  it('two keys that would become one both keep their names', async () => {
    await api.post('x', { json: { userId: 1, user_id: 2 }, requestFormatter: snakeCaseRequest });
    expect(JSON.parse(last().body)).toEqual({ userId: 1, user_id: 2 });
  });

  it('jsonResponse refuses JSON under another content type by the same rules', async () => {
    server.answer = (_, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('{"__proto__":{}}');
    for (const responseFormatter of [jsonResponse, camelCaseResponse]) {
      await expect(api.get('x', { responseFormatter })).rejects.toThrow(/its JSON is refused \(forbidden-key\)/);
    }
  });

  it('fileResponse gives the bytes, with the name that the server says but no folder of it', async () => {
    const bytes = Buffer.from([0, 255, 10, 13]);
    server.answer = (_, response) => {
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-disposition': 'attachment; filename="../../etc/pass wd.bin"',
      });
      response.end(bytes);
    };
    const file = await api.get('files/7', { responseFormatter: fileResponse });
    expect(file).toMatchObject({ name: 'pass wd.bin', type: 'application/json', size: 4 });
    expect(Buffer.from(await file.arrayBuffer())).toEqual(bytes);
  });

  it.each([
    ['UTF-8', 'filename="übersicht – 1.pdf"', 'utf8', 'übersicht – 1.pdf'],
    ['Latin-1', 'filename="übersicht.pdf"', 'latin1', 'übersicht.pdf'],
    ['RFC 8187', 'filename="x.pdf"; filename*=UTF-8\'\'%C3%BCbersicht.pdf', 'latin1', 'übersicht.pdf'],
  ] as const)('fileResponse reads a name that is written as %s', async (_, disposition, encoding, name) => {
    server.answer = (__, response) => {
      // Node writes headers as Latin-1, byte for byte.
      const header = Buffer.from(`attachment; ${disposition}`, encoding).toString('latin1');
      response.writeHead(200, { 'content-disposition': header }).end(Buffer.from('a'));
    };
    expect((await api.get('x', { responseFormatter: fileResponse })).name).toBe(name);
  });

  it('fullResponse holds nothing of the request that could be a secret', async () => {
    const response = await api.get('x', {
      headers: { authorization: 'Bearer canary' },
      responseFormatter: fullResponse,
    });
    expect(JSON.stringify(response)).not.toContain('canary');
  });

  it('jsonResponse takes JSON under another content type, and says what else it is', async () => {
    server.answer = (_, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('{"a":1}');
    expect(await api.get('x', { responseFormatter: jsonResponse })).toEqual({ a: 1 });
    server.answer = (_, response) => response.writeHead(200, { 'content-type': 'text/plain' }).end('\ufeff{"a":1}');
    expect(await api.get('x')).toEqual({ a: 1 });
    server.answer = (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
    await expect(api.get('x')).rejects.toThrow(/content type is text\/html .* responseType: 'text'/);
    expect(await api.get('x', { responseType: 'text' })).toBe('<html>');
  });
});

describe('wrong use, refused before anything is sent', () => {
  it.each([
    ['baseURL', { baseURL: 'http://evil.example' }],
    ['url', { url: 'http://evil.example' }],
    ['adapter', { adapter: 'http' }],
    ['socketPath', { socketPath: '/var/run/docker.sock' }],
    ['proxy', { proxy: { host: 'evil.example', port: 80 } }],
    ['timeout', { timeout: 5 }],
    ['responseType', { responseType: 'stream' }],
  ])('the axios option %s', async (name, options) => {
    await expect(api.get('x', options as object)).rejects.toMatchObject({
      code: 'SVC_COMM_INVALID_ARGUMENT',
      argument: `options.${name}`,
    });
    expect(server.seen).toEqual([]);
  });

  it.each([
    ['a value with CR/LF', { 'x-a': 'b\r\nx-evil: 1' }],
    ['a value with NUL', { 'x-a': 'b\0' }],
    ['a value beyond Latin-1', { 'x-a': '→' }],
    ['a name with a colon', { 'x:a': 'b' }],
    ['a name with CR/LF', { 'x-a\r\nx-evil': 'b' }],
    ['Host', { Host: 'evil.example' }],
    ['Content-Length', { 'Content-Length': '0' }],
    ['Transfer-Encoding', { 'transfer-encoding': 'chunked' }],
  ])('a header with %s', async (_, headers) => {
    await expect(api.get('x', { headers })).rejects.toBeInstanceOf(InvalidArgumentError);
    expect(server.seen).toEqual([]);
  });

  it('json that JSON would change silently', async () => {
    await expect(api.post('x', { json: { price: Number.NaN } })).rejects.toBeInstanceOf(UnserialisablePayloadError);
    await expect(api.post('x', { json: 1, data: 2 })).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(api.get('x', { params: { a: { b: 1 } } })).rejects.toMatchObject({ argument: 'params.a' });
    expect(server.seen).toEqual([]);
  });

  const hiding: [string, object][] = [
    ['a Map', new Map([['a', 1]])],
    ['Headers', new Headers({ authorization: 'canary' })],
    ['a stream of the web', new Blob(['a']).stream()],
    ['a generator', (async function* () {})()],
    ['a Promise', Promise.resolve({ a: 1 })],
  ];
  it.each(hiding)('%s, whose properties are not what it holds', async (_, value) => {
    for (const option of ['data', 'params', 'headers', 'files']) {
      await expect(api.post('x', { [option]: value })).rejects.toMatchObject({
        code: 'SVC_COMM_INVALID_ARGUMENT',
        argument: option,
      });
    }
    const headers = value as Record<string, string>;
    expect(() => createRestClient({ host: server.url, headers })).toThrow(InvalidArgumentError);
    expect(server.seen).toEqual([]);
  });

  it.each([
    [{ host: 'ftp://x' }, 'host'],
    [{ host: 'http://user:canary@x' }, 'host'],
    [{ host: 'http://x?a=1' }, 'host'],
    [{ host: 'http://x', username: 'u', password: 'p' }, 'authUrl'],
    [{ host: 'http://x', authUrl: 'login', username: 'u' }, 'credential'],
    [{ host: 'http://x', timeoutMs: 0 }, 'timeoutMs'],
    [{ host: 'http://x', retry: { attempts: 0 } }, 'retry.attempts'],
    [{ host: 'http://x', breaker: { failures: 1.5 } }, 'breaker.failures'],
  ])('client options %j', (options, argument) => {
    let thrown: unknown;
    try {
      createRestClient(options);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'SVC_COMM_INVALID_ARGUMENT', argument });
    expect(String(thrown)).not.toContain('canary');
  });
});

describe('silent', () => {
  it('gives [result, undefined], and tells onSuccess', async () => {
    const told: unknown[] = [];
    const outcome = await silent(() => api.get('x'), { onSuccess: (result) => told.push(result) });
    expect(outcome).toEqual([{ ok: true }, undefined]);
    expect(told).toEqual([{ ok: true }]);
  });

  it('gives [undefined, error], and tells onError', async () => {
    server.answer = (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{');
    const told: unknown[] = [];
    const [result, error] = await silent(() => api.get('x'), { onError: (reason) => told.push(reason) });
    expect(result).toBeUndefined();
    expect(error).toBeInstanceOf(RestApiUnreadableResponseError);
    expect(told).toEqual([error]);
  });
});
