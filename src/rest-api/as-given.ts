import { asSent } from '../wire/as-sent.ts';
import type { RequestPart } from './formatter.ts';
import type { RequestOptions } from './request-options.ts';

/**
 * What is to be sent as it is now, for when the settings are still to be read. Bytes, streams and forms are read when they
 * are sent, and axios' `transformRequest` gets what the caller gave.
 */
export function asGiven<Options extends RequestOptions | undefined>(options: Options): Options {
  if (typeof options !== 'object' || options === null) return options;
  const { json, params, data, files, headers, requestFormatter, transformRequest } = options;
  // A formatter runs at the call, as it does where the settings are known.
  const formatted = (value: unknown, part: RequestPart) =>
    value === undefined || requestFormatter === undefined ? value : requestFormatter(value, part);
  const parts = {
    params: params == null ? params : copyOf(formatted(params, 'params')),
    json: transformRequest === undefined ? asSent(formatted(json, 'json')) : formatted(json, 'json'),
    data: copyOf(formatted(data, 'data')),
  };
  return {
    ...options,
    ...(requestFormatter === undefined
      ? defined(parts)
      : { requestFormatter: (_value: unknown, part: RequestPart) => parts[part] }),
    ...defined({ headers: copyOf(headers), files: copyOf(files) }),
  };
}

/** An object of names and values, with its lists; anything else as it is. */
export function copyOf<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  const copied = Object.entries(value).map(([name, member]) => [name, Array.isArray(member) ? [...member] : member]);
  return Object.fromEntries(copied);
}

const defined = (values: object): object =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
