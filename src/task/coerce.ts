import type { ArgumentType } from './argument.ts';

/** What a value becomes as each type; undefined: it cannot. */
export const COERCIONS: Readonly<Record<ArgumentType, (value: unknown) => unknown>> = Object.freeze({
  INTEGER: integer,
  FLOAT: float,
  STRING: (value: unknown) => (isScalar(value) ? String(value) : undefined),
  BOOLEAN: boolean,
  LIST: (value: unknown) => (Array.isArray(value) ? value : undefined),
  DICT: (value: unknown) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined),
});

const TRUE: ReadonlySet<string> = new Set(['true', '1', 't', 'y', 'yes']);
const FALSE: ReadonlySet<string> = new Set(['false', '0', 'f', 'n', 'no']);

function integer(value: unknown): number | undefined {
  if (typeof value === 'string') return /^\s*[+-]?\d+\s*$/.test(value) ? safe(Number(value)) : undefined;
  return typeof value === 'number' ? safe(Math.trunc(value)) : undefined;
}

/** Beyond 2^53 a double is another number than the one that was written. */
const safe = (value: number): number | undefined => (Number.isSafeInteger(value) ? value + 0 : undefined);

function float(value: unknown): number | undefined {
  if (typeof value === 'string') {
    return /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(value) ? finite(Number(value)) : undefined;
  }
  return typeof value === 'number' ? finite(value) : undefined;
}

const finite = (value: number): number | undefined => (Number.isFinite(value) ? value : undefined);

function boolean(value: unknown): boolean | undefined {
  if (!isScalar(value)) return undefined;
  const text = String(value).toLowerCase();
  if (TRUE.has(text)) return true;
  return FALSE.has(text) ? false : undefined;
}

const isScalar = (value: unknown): boolean =>
  typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value));

/** A value for an error's text. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : (safeJson(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function safeJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}
