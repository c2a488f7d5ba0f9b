import { isError } from './thrown.ts';

/** What kind of error it is, of few kinds: its code, else its class (attribute `error.type` of OpenTelemetry). */
export function errorType(error: unknown): string {
  // Getters and proxies may throw in turn.
  try {
    if (!isError(error)) return OTHER;
    const { code, name } = error as { readonly code?: unknown; readonly name: unknown };
    // A class that says nothing of its name has that of Error.
    const isPlain = name === '' || name === 'Error';
    const kinds: unknown[] = [
      code,
      isPlain ? (error.constructor as { readonly name?: unknown } | undefined)?.name : name,
    ];
    const found = kinds.find((kind) => typeof kind === 'string' && kind !== '') as string | undefined;
    return found?.slice(0, MAX_CHARS) ?? OTHER;
  } catch {
    return OTHER;
  }
}

/** Of errors that have neither, and of those that are too many to be told apart. */
export const OTHER = '_OTHER';

const MAX_CHARS = 255;
