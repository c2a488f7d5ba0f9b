import { expectTypeOf } from 'vitest';
import {
  camelCaseResponse,
  fileResponse,
  fullResponse,
  type ResponseFormatter,
  type RestResponse,
} from '../../src/rest-api/formatter.ts';
import { createRestClient, get, head, post, silent } from '../../src/rest-api-door.ts';

// Compiled by `npm run types`, never run. What must be refused stands under @ts-expect-error: it is an error there if
// the line compiles.

interface Subject {
  readonly id: number;
}

// The body is unknown until the caller says what it is.
expectTypeOf(get('x')).resolves.toEqualTypeOf<unknown>();
expectTypeOf(get<Subject>('x')).resolves.toEqualTypeOf<Subject>();
expectTypeOf(get<Subject>('x', { params: { page: 2, size: 20 } })).resolves.toEqualTypeOf<Subject>();
expectTypeOf(head('x')).resolves.toEqualTypeOf<RestResponse>();

// A formatter says it itself.
expectTypeOf(get('x', { responseFormatter: fullResponse })).resolves.toEqualTypeOf<RestResponse>();
expectTypeOf(get('x', { responseFormatter: fileResponse })).resolves.toEqualTypeOf<File>();
expectTypeOf(get('x', { responseFormatter: camelCaseResponse })).resolves.toEqualTypeOf<unknown>();
expectTypeOf(head('x', { responseFormatter: ({ status }) => status })).resolves.toEqualTypeOf<number>();
const subject: ResponseFormatter<Subject> = ({ status }) => ({ id: status });
expectTypeOf(post('x', { json: {}, responseFormatter: subject })).resolves.toEqualTypeOf<Subject>();

// Options of axios are typed by axios.
void get('x', { paramsSerializer: { serialize: () => '' }, maxRedirects: 2, validateStatus: (status) => status < 500 });
// @ts-expect-error what breaks confinement is none of ours
void get('x', { baseURL: 'http://x' });
// @ts-expect-error the same
void get('x', { adapter: 'http' });
// @ts-expect-error it is called timeoutMs
void get('x', { timeout: 5 });
// @ts-expect-error no such type
void get('x', { responseType: 'stream' });
// @ts-expect-error a header is one text
void get('x', { headers: { a: ['b'] } });
// @ts-expect-error a duration has a unit
void get('x', { timeoutMs: '5' });
void get('x', { timeoutMs: '5s' });

const api = createRestClient({ host: 'http://x', authUrl: 'login', credential: { apiKey: 'k' }, retry: false });
expectTypeOf(api.del<Subject>('x')).resolves.toEqualTypeOf<Subject>();
expectTypeOf(api.delete<Subject>('x')).resolves.toEqualTypeOf<Subject>();
// @ts-expect-error a client has a host
createRestClient({});

const [found, error] = await silent(() => get<Subject>('x'));
if (error) {
  expectTypeOf(found).toEqualTypeOf<undefined>();
  expectTypeOf(error).toEqualTypeOf<Error>();
} else {
  expectTypeOf(found).toEqualTypeOf<Subject>();
}
