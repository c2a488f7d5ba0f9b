import { RestApiError } from '../../errors.ts';
import { type Duration, durationMs } from '../../util/duration.ts';
import { parseUrl } from '../../util/parse-url.ts';
import { type CoreOptions, coreTask, membersProblem, textOf, timeoutProblem } from './core-task.ts';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
type Method = (typeof METHODS)[number];

const OPTIONAL = ['method', 'json', 'params', 'headers', 'timeout', 'origins'];
const TIMEOUT: Duration = '10s';
const MAX_BYTES = 1024 * 1024;

/**
 * `[http.request, { args: { method: post, url: 'https://api.example.com/hits', json: = body } }]`
 * An address that is made of the request needs `origins`, the only ones that it may lead to.
 */
export const httpRequest = coreTask(
  { description: 'Sends an HTTP request to one of the origins that it names, and gives status and body.' },
  ([options]) =>
    membersProblem(options, ['url'], OPTIONAL) ??
    addressProblem(options as CoreOptions) ??
    timeoutProblem(options as CoreOptions),
  async (options, { context }, written) => {
    const { path, host } = targetOf(textOf(options, 'url'), written);
    const { createRestClient } = await import('../../rest-api/client.ts');
    const { fullResponse } = await import('../../rest-api/formatter.ts');
    const timeoutMs = durationMs((options.timeout ?? TIMEOUT) as Duration, 'timeout', 's');
    const client = createRestClient({ host, timeoutMs, maxResponseBytes: MAX_BYTES, logger: context.logger });
    try {
      const { status, data } = await client[methodOf(options)](path, {
        ...(options.json === undefined ? {} : { json: options.json }),
        ...(options.params === undefined ? {} : { params: options.params }),
        ...(options.headers === undefined ? {} : { headers: options.headers as Record<string, string> }),
        signal: context.signal,
        responseFormatter: fullResponse,
      });
      return { status, body: data ?? null };
    } catch (error) {
      // What the other side said is for the logs: instances are shown to whoever created them.
      if (error instanceof RestApiError) context.logger.warn({ error }, 'a request of a process failed');
      throw error;
    } finally {
      await client.close();
    }
  },
);

function addressProblem({ url, origins, method }: CoreOptions): string | undefined {
  if (method !== undefined && !METHODS.some((known) => known === String(method).toLowerCase())) {
    return `a method that is one of ${METHODS.join(', ')}`;
  }
  if (origins !== undefined && (!Array.isArray(origins) || origins.length === 0 || !origins.every(isOrigin))) {
    return "origins such as ['https://api.example.com']";
  }
  if (typeof url !== 'string') return 'a url';
  if (isExpression(url)) return origins ? undefined : 'origins: a url that is made of the request may lead to no other';
  return isAddress(url) ? undefined : 'an http or https url';
}

/** @throws TypeError for an address that leads elsewhere than its author wrote */
function targetOf(url: string, written: CoreOptions): { readonly host: string; readonly path: string } {
  if (!isAddress(url)) throw new TypeError('url: expected an http or https URL without credentials');
  const { origin } = new URL(url);
  const literal = String(written.url);
  const allowed = Array.isArray(written.origins) ? written.origins : [new URL(literal).origin];
  if (!allowed.includes(origin)) throw new TypeError(`url: ${origin} is none of the origins ${allowed.join(', ')}`);
  // As it was written: the client refuses a path that means another one than it shows.
  const path = url.slice(url.indexOf('://') + 3).replace(/^[^/?#]*/, '');
  return { host: origin, path: path === '' ? '/' : path.replace(/^\?/, '/?') };
}

const isExpression = (text: string): boolean => text.startsWith('=') && !text.startsWith('==');

function isAddress(text: string): boolean {
  const url = parseUrl(text);
  if (!url || /[\\\s]/.test(text)) return false;
  const { protocol, username, password } = url;
  return /^https?:$/.test(protocol) && username === '' && password === '';
}

const isOrigin = (value: unknown): boolean =>
  typeof value === 'string' && isAddress(value) && new URL(value).origin === value;

const methodOf = ({ method }: CoreOptions): Method =>
  METHODS.find((known) => known === String(method ?? 'get').toLowerCase()) ?? 'get';
