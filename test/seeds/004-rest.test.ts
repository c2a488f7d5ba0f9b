import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { close } from '../../src/index.ts';
import * as formatter from '../../src/rest-api/formatter.ts';
import * as restApi from '../../src/rest-api-door.ts';
import { HttpKit, json } from '../support/http-kit.ts';

// The REST lines of the README of django-microservices-communication, one test each, by the functions that work on the
// settings. Where a Python name differs from ours, the test's body shows ours.

const { get, post, head, delete: remove } = restApi;
const { fullResponse } = formatter;
const VARIABLES = {
  SVC_COMM_REST_API_HOST: '',
  SVC_COMM_REST_API_AUTH_URL: 'api/v1/login',
  SVC_COMM_REST_API_USERNAME: 'username',
  SVC_COMM_REST_API_PASSWORD: 'password',
};

let server: HttpKit;

beforeAll(async () => {
  server = await HttpKit.open((request, response) => {
    if (request.url === '/api/v1/login') return json(response, { access_token: 'token' });
    if (request.headers.authorization !== 'Bearer token') return json(response, {}, 401);
    return json(response, { id: 1, name: 'My new subject', sent: request.body });
  });
  Object.assign(process.env, VARIABLES, { SVC_COMM_REST_API_HOST: server.url });
});

afterEach(() => {
  server.seen.length = 0;
});

afterAll(async () => {
  await close();
  for (const name of Object.keys(VARIABLES)) delete process.env[name];
  await server.close();
});

/** What was asked, but for the login. */
const asked = () => server.seen.filter(({ url }) => url !== '/api/v1/login').at(-1);

describe('settings', () => {
  it("'REST_API_HOST': 'http://api.example.com', 'REST_API_USERNAME': 'username', 'REST_API_PASSWORD': 'password'", async () => {
    expect(await get('api/v1/subjects/1')).toMatchObject({ id: 1 });
    const [login] = server.seen;
    expect(login).toMatchObject({ method: 'POST', url: '/api/v1/login' });
    expect(JSON.parse(login?.body ?? '')).toEqual({ username: 'username', password: 'password' });
    expect(asked()?.headers.authorization).toBe('Bearer token');
  });
});

describe('REST API', () => {
  it('For request endpoint use method functions from rest_api package.', () => {
    expect(restApi).toMatchObject({
      get: expect.any(Function),
      put: expect.any(Function),
      patch: expect.any(Function),
    });
  });

  it('from services_communication.rest_api import get, post, head, delete', () => {
    for (const method of [get, post, head, remove]) expect(method).toBeTypeOf('function');
    expect(restApi.del).toBe(remove);
  });

  it('from services_communication.rest_api.formatter import full_response', () => {
    expect(fullResponse).toBeTypeOf('function');
  });

  it("first_subject = get('api/v1/subjects/1')  # return only response body as dict", async () => {
    const firstSubject = await get<{ name: string }>('api/v1/subjects/1');
    expect(firstSubject.name).toBe('My new subject');
    expect(asked()).toMatchObject({ method: 'GET', url: '/api/v1/subjects/1' });
  });

  it("get('api/v1/subjects', params={'page': 2, 'size': 20})  # sending query params", async () => {
    await get('api/v1/subjects', { params: { page: 2, size: 20 } });
    expect(asked()).toMatchObject({ url: '/api/v1/subjects?page=2&size=20' });
  });

  it("response = get('api/v1/subjects/1', response_formatter=full_response)  # return response object", async () => {
    const response = await get('api/v1/subjects/1', { responseFormatter: fullResponse });
    expect(response).toMatchObject({ status: 200, data: { id: 1 }, headers: { 'content-type': 'application/json' } });
  });

  it("new_subject = post('api/v1/subjects', json={'name': 'My new subject', 'order': 5})  # sending request body", async () => {
    const newSubject = await post<{ sent: string }>('api/v1/subjects', { json: { name: 'My new subject', order: 5 } });
    expect(JSON.parse(newSubject.sent)).toEqual({ name: 'My new subject', order: 5 });
    expect(asked()).toMatchObject({ method: 'POST', headers: { 'content-type': 'application/json' } });
  });

  it('In all methods function you can send additional keyword argument, it was sent to request.', async () => {
    for (const method of [get, post, remove]) {
      await method('x', { headers: { 'x-more': 'yes' }, auth: { username: 'u', password: 'p' } }).catch(
        () => undefined,
      );
      expect(asked()?.headers).toMatchObject({ 'x-more': 'yes', authorization: `Basic ${btoa('u:p')}` });
    }
    await head('x', { headers: { 'x-more': 'head' } });
    expect(asked()?.headers['x-more']).toBe('head');
  });

  it('*request_formatter* will be applied to other request arguments(params, json, data).', async () => {
    const requestFormatter = (value: unknown) => ({ ...(value as object), added: 1 });
    await post('x', { params: { a: 1 }, json: { b: 2 }, requestFormatter });
    expect(asked()).toMatchObject({ url: '/x?a=1&added=1', body: '{"b":2,"added":1}' });
    await post('x', { data: { c: 3 }, requestFormatter });
    expect(asked()).toMatchObject({ body: 'c=3&added=1' });
  });

  it('*response_formatter* will be applied to response and it result be returned from method.', async () => {
    expect(await get('x', { responseFormatter: (response) => `status ${response.status}` })).toBe('status 200');
  });

  it.each([
    ['get', get],
    ['post', post],
    ['delete', remove],
  ])('By default: get, post, delete methods return response.json (%s)', async (_, method) => {
    expect(await method('x')).toMatchObject({ id: 1 });
  });

  it('By default: head method return full response', async () => {
    expect(await head('x')).toMatchObject({ status: 200, data: undefined });
    expect(asked()).toMatchObject({ method: 'HEAD' });
  });
});
