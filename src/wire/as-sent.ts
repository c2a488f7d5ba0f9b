import { encodeJson } from './json.ts';

/**
 * What a value is now, for when it is sent later: what becomes of it meanwhile does not travel. One that cannot be sent
 * stays as it is: whoever writes it down says so.
 */
export function asSent<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  let text: string;
  try {
    text = encodeJson(value);
  } catch {
    return value;
  }
  return JSON.parse(text) as T;
}
