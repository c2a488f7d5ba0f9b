import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createRestClient, RestApiNotFoundError, silent } from 'svc-comm/rest-api';
import { camelCaseResponse, fullResponse, snakeCaseRequest } from 'svc-comm/rest-api/formatter';
import { subjectsApi } from './subjects-api.ts';

const server = subjectsApi().listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;

// In a service these are the settings `restApi`, and get, post … are imported from svc-comm/rest-api.
const { get, post, close } = createClient();

console.log('the body:', await get('api/v1/subjects/1'));
console.log('with a query:', await get('api/v1/subjects', { params: { page: 2, size: 20 } }));

const { status, headers } = await get('api/v1/subjects/1', { responseFormatter: fullResponse });
console.log('the whole answer:', status, headers['content-type']);

const created = await post('api/v1/subjects', {
  json: { fullName: 'Physics', sortOrder: 5 },
  requestFormatter: snakeCaseRequest,
  responseFormatter: camelCaseResponse,
});
console.log('created, keys renamed on both ways:', created);

await post('api/v1/logout');
console.log('after a logout, by a new login:', await get('api/v1/subjects/2'));
console.log('after a 503, tried again:', await get('api/v1/unsteady'));

try {
  await get('api/v1/subjects/99');
} catch (error) {
  if (!(error instanceof RestApiNotFoundError)) throw error;
  console.log(error.code, error.statusCode, error.responseBody);
}

const [subject, error] = await silent(() => get('../admin'));
console.log('without throwing:', subject, error?.name);

await close();
server.close();

function createClient() {
  const client = createRestClient({
    host: `http://127.0.0.1:${port}`,
    authUrl: 'api/v1/login',
    username: 'orders',
    password: process.env.SUBJECTS_PASSWORD ?? 'secret',
  });
  return { get: client.get, post: client.post, close: () => client.close() };
}
