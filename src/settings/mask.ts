import { maskUrl, maskWholeUrl } from '../util/mask.ts';
import { SETTINGS } from './catalogue.ts';

const HIDDEN = '***';
const SECRET_NAME = /pass|secret|token|credential|private|api_?key/i;
/** Whatever stands before the last `@` of a URL may be a password, also when the URL is malformed. */
const BEFORE_HOST = /([a-z][a-z0-9+.-]*:\/*)[^\s"']*@/gi;
/** Of a value that is one URL, in which a password may hold anything. */
const ALL_BEFORE_HOST = /^(\s*[a-z][a-z0-9+.-]*:\/*).*@/is;
const DSN_SECRET = /\b((?:password|passwd|pwd|token|secret)["']?\s*[=:]\s*["']?)[^\s"',;&]+/gi;
const MAX_SHOWN = 120;

/**
 * Settings (given or resolved), or a part of them, for printing: passwords, tokens and credentials are `***`, also those
 * inside URLs; functions are named.
 */
export function maskSettings(value: unknown): unknown {
  if (typeof value === 'string') return maskWholeUrl(value);
  return mapValue(value, maskSettings);
}

/** A refused value for an error text: masked more widely than a good one, since it may be a URL that does not parse. */
export function describeRefused(path: readonly PropertyKey[], value: unknown): string {
  if (value === undefined) return 'nothing';
  if (path.some((key) => isSecretName(String(key))) && value !== null) return HIDDEN;
  if (typeof value === 'function') return 'a function';
  const shown = typeof value === 'number' || typeof value === 'bigint' ? String(value) : asJson(hideRefused(value));
  return shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}…` : shown;
}

/** Any text that may hold what the user wrote: messages of files that do not load, JSON that does not parse. */
export function maskText(text: string): string {
  return maskUrl(text.replace(BEFORE_HOST, `$1${HIDDEN}@`).replace(DSN_SECRET, `$1${HIDDEN}`));
}

function hideRefused(value: unknown): unknown {
  if (typeof value !== 'string') return mapValue(value, hideRefused);
  return maskText(value.replace(ALL_BEFORE_HOST, `$1${HIDDEN}@`));
}

function mapValue(value: unknown, mask: (value: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(mask);
  if (typeof value === 'function') return '(function)';
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, member]) => {
    const isHidden = isSecretName(key) && member !== undefined && member !== null;
    return [key, isHidden ? HIDDEN : mask(member)];
  });
  return Object.fromEntries(entries);
}

const secretNames = new Set(SETTINGS.filter((s) => s.description.isSecret).map((s) => s.path.at(-1)));

function isSecretName(key: string): boolean {
  return secretNames.has(key) || SECRET_NAME.test(key);
}

function asJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return 'a value that JSON cannot show';
  }
}
