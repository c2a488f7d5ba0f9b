import { expect, it } from 'vitest';
import { currentCorrelation } from '../../src/util/correlation.ts';
import { correlateRequest, requestCorrelation } from '../../src/util/request-correlation.ts';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const headers = { 'x-request-id': 'asked-7', traceparent };

it.each([
  ['of node:http', { headers }],
  ['of the Fetch standard', new Request('http://localhost/', { headers })],
] as const)('a request %s gives its id and trace to what it leads to', async (_of, request) => {
  const seen = await correlateRequest(request, async () => currentCorrelation());
  expect(seen).toEqual({ correlationId: 'asked-7', traceparent });
  expect(requestCorrelation(request, { headers: ['X-Own'] }).correlationId).not.toBe('asked-7');
});

it('a header that is called get is one like others', () => {
  expect(requestCorrelation({ headers: { ...headers, get: 'x' } }).correlationId).toBe('asked-7');
});
