import { asSent } from '../wire/as-sent.ts';
import type { RequestOptions } from './request-options.ts';

/**
 * What is to be sent as it is now, for when the settings are still to be read. Bytes, streams and forms are read when they
 * are sent, and a formatter of the caller's gets what the caller gave.
 */
export function asGiven<Options extends RequestOptions | undefined>(options: Options): Options {
  if (typeof options !== 'object' || options === null) return options;
  const { json, params, data, headers, requestFormatter, transformRequest } = options;
  const isOurs = requestFormatter === undefined && transformRequest === undefined;
  return {
    ...options,
    ...defined({
      json: isOurs ? asSent(json) : json,
      params: copyOf(params),
      data: copyOf(data),
      headers: copyOf(headers),
    }),
  };
}

/** An object of names and values; anything else as it is. */
export const copyOf = <T>(value: T): T =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? { ...value }
    : value;

const defined = (values: object): object =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
