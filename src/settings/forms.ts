import { type BindSpec, EXCHANGE_TYPES, type ExchangeSpec, type ExchangeType } from '../message/topology.ts';
import { isEmbeddedUrl } from '../util/embedded-url.ts';
import { isName, isShortString } from './leaf.ts';

/** Readers of settings that have a short and a long form; undefined: refused. */
export function parseExchange(value: unknown): ExchangeSpec | undefined {
  const [name, type, ...rest]: unknown[] = Array.isArray(value) ? value : [value, 'topic'];
  return isName(name) && isExchangeType(type) && rest.length === 0 ? { name, type } : undefined;
}

export function parseBind(value: unknown): BindSpec | undefined {
  const [exchange, pattern, ...rest]: unknown[] = Array.isArray(value) ? value : [value, '#'];
  return isName(exchange) && isShortString(pattern) && rest.length === 0 ? { exchange, pattern } : undefined;
}

export function parseBrokerUrls(value: unknown): readonly string[] | undefined {
  const urls: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (urls.length === 1 && isEmbeddedUrl(urls[0])) return [urls[0]];
  if (urls.length === 0 || !urls.every(isBrokerUrl)) return undefined;
  return urls;
}

export function parseDatabaseUrl(value: unknown): string | undefined {
  if (isEmbeddedUrl(value)) return value;
  if (!isUrl(value, ['postgres:', 'postgresql:'])) return undefined;
  const url = new URL(value);
  return isOfOneHost(url) && !isCutAtSlash(url) ? value : undefined;
}

/** `app:2024/rest@db`: the rest of a password would be the database's name, and shown as such. */
const isCutAtSlash = ({ password, pathname }: URL): boolean => password === '' && pathname.includes('@');

/** pg takes a list, which libpq knows, for one name: it would be looked up for ever. */
const isOfOneHost = ({ hostname, searchParams }: URL): boolean =>
  ![hostname, searchParams.get('host') ?? ''].some((host) => host.includes(','));

export function parseHttpUrl(value: unknown): string | undefined {
  return isUrl(value, ['http:', 'https:']) && new URL(value).hostname !== '' ? value : undefined;
}

/** Any library's callback form, or the mark for our own. */
export const isTransactions = (value: unknown): boolean =>
  typeof value === 'function' ||
  (typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'knex');

const isExchangeType = (value: unknown): value is ExchangeType => EXCHANGE_TYPES.some((type) => type === value);

const isBrokerUrl = (value: unknown): value is string =>
  isUrl(value, ['amqp:', 'amqps:']) && new URL(value).hostname !== '';

function isUrl(value: unknown, protocols: readonly string[]): value is string {
  if (typeof value !== 'string' || !URL.canParse(value)) return false;
  const { protocol } = new URL(value);
  return protocols.includes(protocol) && value.slice(protocol.length).startsWith('//');
}
