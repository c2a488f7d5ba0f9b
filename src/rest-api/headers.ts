import { channel } from 'node:diagnostics_channel';
import type { IncomingHttpHeaders } from 'node:http';
import { InvalidArgumentError } from '../errors.ts';
import { currentCorrelation } from '../util/correlation.ts';
import { traceHeaders } from '../util/trace-context.ts';
import { assertOpen } from './query.ts';
import type { Outgoing } from './transport.ts';

/** Field names and values, RFC 9110 §5.1 and §5.5; values as Latin-1, which is what goes over the wire. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/**
 * A correlation id came from outside: whatever could not stand in a log line is not passed on. Spaces may be within, as in
 * what `requestCorrelation` takes; around a header's value they would be lost.
 */
const VISIBLE = /^(?! )[\x20-\x7e]{1,255}(?<! )$/;

/** They say where a request goes and how it is framed, which is for us to say. */
const OURS = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'expect',
  'keep-alive',
  'te',
]);
/** What a redirect may take along to another origin: any other header could prove who asks. */
const HARMLESS = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'user-agent',
  'x-correlation-id',
  'traceparent',
]);

export type GivenHeaders = Readonly<Record<string, string | number | boolean | null | undefined>>;

/**
 * Names in lower case, values as text; null and undefined are left out.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for what cannot stand in a header, CR and LF above all
 */
export function checkedHeaders(given: Readonly<Record<string, unknown>>): Record<string, string> {
  const headers: Record<string, string> = {};
  addHeaders(headers, given);
  return headers;
}

/** The same, into headers that are there. */
export function addHeaders(headers: Record<string, string>, given: Readonly<Record<string, unknown>>): void {
  assertOpen(given, 'headers');
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    if (!NAME.test(name)) {
      throw new InvalidArgumentError('headers', 'header names of letters, digits and dashes', JSON.stringify(name));
    }
    const lower = name.toLowerCase();
    if (OURS.has(lower)) throw new InvalidArgumentError('headers', `no header ${lower}, which the client sets`, lower);
    if (typeof value === 'object' || !VALUE.test(String(value))) {
      const expected = 'a text of Latin-1 without control characters';
      // The value may be a secret.
      throw new InvalidArgumentError(`headers.${lower}`, expected, 'other characters, such as CR or LF');
    }
    headers[lower] = String(value);
  }
}

/** What ties a request to the message or request that is being handled. */
export function addCorrelation(headers: Record<string, string>): void {
  const correlationId = currentCorrelation()?.correlationId;
  if (correlationId !== undefined && VISIBLE.test(correlationId)) headers['x-correlation-id'] = correlationId;
  // Who listens here writes the trace of a span of its own; twice said, it counts for nothing.
  if (UNDICI_REQUESTS.hasSubscribers) return;
  for (const [name, value] of Object.entries(traceHeaders() ?? {})) if (VALUE.test(value)) headers[name] = value;
}

/** What instrumentation of undici is told by (https://undici.nodejs.org, diagnostics channel). */
const UNDICI_REQUESTS = channel('undici:request:create');

/** Of an answer that says them more than once, the first counts, as node has it (`message.headers` of its documentation). */
const SINGLE = new Set([
  'age',
  'content-length',
  'content-type',
  'etag',
  'expires',
  'last-modified',
  'location',
  'retry-after',
  'server',
]);

/**
 * An answer's headers as `IncomingHttpHeaders` promises them. Undici says that they are, but has a list for whatever came
 * more than once, and a text for a single cookie.
 */
export function asNodeHasThem(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  for (const name of Object.keys(headers)) {
    const value = headers[name] as string | string[];
    if (name === 'set-cookie') headers[name] = Array.isArray(value) ? value : [value];
    else if (Array.isArray(value)) headers[name] = SINGLE.has(name) ? value[0] : value.join(', ');
  }
  return headers;
}

export function forAnotherOrigin(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => HARMLESS.has(name)));
}

export function withoutBody(request: Outgoing): Outgoing {
  const headers = Object.entries(request.headers).filter(([name]) => !name.startsWith('content-'));
  return { ...request, body: undefined, headers: Object.fromEntries(headers) };
}
