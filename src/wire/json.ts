import { isUtf8 } from 'node:buffer';
import { MalformedMessageError, UnserialisablePayloadError } from '../errors.ts';

/** Bounds on a received body, looked at before anything is made of it (SECURITY: depth and size bombs). */
export interface JsonLimits {
  /** @default 16 MiB */
  readonly bodyBytes: number;
  /** Nesting of arrays and objects. @default 64 */
  readonly depth: number;
  /** Keys of all objects together. @default 10_000 */
  readonly keys: number;
}

export const DEFAULT_JSON_LIMITS: JsonLimits = Object.freeze({ bodyBytes: 16 * 1024 * 1024, depth: 64, keys: 10_000 });

/** Receivers count the envelope around a payload as well. */
const MAX_ENCODED_DEPTH = DEFAULT_JSON_LIMITS.depth - 2;

/**
 * A value as JSON text. Properties that are `undefined` are left out, as JSON.stringify does; every other value that
 * JSON would change silently is refused: undefined elsewhere, NaN, Infinity, functions, symbols, and objects that hold what
 * they are out of its sight (`EMPTIED`).
 * @param path names the value in the error, e.g. `payload`
 * @throws UnserialisablePayloadError (SVC_COMM_UNSERIALISABLE_PAYLOAD) with the path to the value
 */
export function encodeJson(value: unknown, path = 'payload'): string {
  if (!isPlainJson(value, 0)) assertSerialisable(value, path, []);
  try {
    return JSON.stringify(value);
  } catch (error) {
    throw new UnserialisablePayloadError(path, error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
}

/**
 * Whether a value is JSON through and through. Nearly every one is, and needs no names of its parts; what is left over
 * (also what is merely unusual, such as a toJSON of its own) goes to `assertSerialisable`, which decides.
 */
function isPlainJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  // A value that contains itself is deeper than any limit.
  if (typeof value !== 'object' || depth >= MAX_ENCODED_DEPTH || hasToJson(value)) return false;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isPlainJson(value[i], depth + 1)) return false;
    return true;
  }
  if (isEmptied(value)) return false;
  for (const key of Object.keys(value)) {
    const item = (value as Record<string, unknown>)[key];
    if (key === '__proto__' || (item !== undefined && !isPlainJson(item, depth + 1))) return false;
  }
  return true;
}

function assertSerialisable(value: unknown, path: string, ancestors: object[]): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new UnserialisablePayloadError(path, `${value} is no JSON number`);
    return;
  }
  if (typeof value !== 'object') throw new UnserialisablePayloadError(path, `it is ${describe(value)}`);
  if (ancestors.includes(value)) throw new UnserialisablePayloadError(path, 'it contains itself');
  if (hasToJson(value)) {
    assertSerialisesItself(value, path, ancestors);
    return;
  }
  if (isEmptied(value)) {
    throw new UnserialisablePayloadError(path, `a ${value.constructor.name} would be written as {}`);
  }
  if (ancestors.length >= MAX_ENCODED_DEPTH) {
    throw new UnserialisablePayloadError(path, `it is nested deeper than ${MAX_ENCODED_DEPTH}, which receivers refuse`);
  }
  ancestors.push(value);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) assertSerialisable(value[i], `${path}[${i}]`, ancestors);
  } else {
    for (const key of Object.keys(value)) {
      if (key === '__proto__')
        throw new UnserialisablePayloadError(path, 'it has a key "__proto__", which receivers refuse');
      const item = (value as Record<string, unknown>)[key];
      if (item !== undefined) assertSerialisable(item, `${path}.${key}`, ancestors);
    }
  }
  ancestors.pop();
}

function assertSerialisesItself(value: { toJSON(): unknown }, path: string, ancestors: object[]): void {
  let written: unknown;
  try {
    written = value.toJSON();
  } catch (error) {
    throw new UnserialisablePayloadError(path, 'its toJSON threw', { cause: error });
  }
  if (value instanceof Date && written === null) throw new UnserialisablePayloadError(path, 'it is an invalid Date');
  if (written !== value) assertSerialisable(written, path, [...ancestors, value]);
}

/** What they are is not in their properties; a Promise is one that nobody awaited. */
const EMPTIED = [Map, Set, WeakMap, WeakSet, Promise, Error, RegExp, ArrayBuffer] as const;

function isEmptied(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype !== Object.prototype && prototype !== null && EMPTIED.some((kind) => value instanceof kind);
}

const hasToJson = (value: object): value is { toJSON(): unknown } =>
  typeof (value as { toJSON?: unknown }).toJSON === 'function';

const describe = (value: unknown): string =>
  value === undefined ? 'undefined' : typeof value === 'bigint' ? 'a BigInt' : `a ${typeof value}`;

/**
 * Parses a received body.
 * @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE), `reason` one of too-large, not-json, too-deep,
 *   too-many-keys, forbidden-key
 */
export function decodeJson(body: Uint8Array, limits: JsonLimits = DEFAULT_JSON_LIMITS): unknown {
  if (body.byteLength > limits.bodyBytes) {
    throw new MalformedMessageError('too-large', `${body.byteLength} bytes, the limit is ${limits.bodyBytes}`);
  }
  if (!isUtf8(body)) throw new MalformedMessageError('not-json', 'the body is not UTF-8');
  const text = utf8Text(body);
  if (mayNestDeeperThan(limits.depth, body)) assertDepth(text, limits.depth);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new MalformedMessageError('not-json', error instanceof Error ? error.message : String(error), {
      cause: error,
    });
  }
  // `"":0,` is the shortest key: below 5 bytes a key there cannot be too many of them.
  if (body.byteLength > limits.keys * 5 || mayReachPrototype(text)) assertKeys(value, limits.keys);
  return value;
}

function utf8Text(body: Uint8Array): string {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  // Some writers put a byte order mark in front, which JSON.parse does not take.
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** A key that reaches a prototype holds one of these, spelled out or escaped. */
const mayReachPrototype = (text: string): boolean => text.includes('proto') || text.includes('\\u00');

const OPENERS = [0x5b /* [ */, 0x7b /* { */];

/** Counts brackets natively: nearly every message has fewer than the limit, and needs no scan in JavaScript. */
function mayNestDeeperThan(depth: number, body: Uint8Array): boolean {
  let count = 0;
  for (const opener of OPENERS) {
    for (let at = body.indexOf(opener); at !== -1; at = body.indexOf(opener, at + 1)) {
      count += 1;
      if (count > depth) return true;
    }
  }
  return false;
}

function assertDepth(text: string, limit: number): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (inString) {
      if (char === 0x5c) i += 1;
      else if (char === 0x22) inString = false;
    } else if (char === 0x22) inString = true;
    else if (char === 0x5b || char === 0x7b) {
      depth += 1;
      if (depth > limit) throw new MalformedMessageError('too-deep', `nested deeper than ${limit}`);
    } else if (char === 0x5d || char === 0x7d) depth -= 1;
  }
}

function assertKeys(root: unknown, limit: number): void {
  const pending: unknown[] = [root];
  let count = 0;
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    if (Array.isArray(value)) {
      for (const item of value) if (typeof item === 'object' && item !== null) pending.push(item);
      continue;
    }
    for (const [key, item] of Object.entries(value)) {
      count += 1;
      if (count > limit) throw new MalformedMessageError('too-many-keys', `more than ${limit} keys`);
      if (key === '__proto__' || (key === 'constructor' && hasPrototypeKey(item))) {
        throw new MalformedMessageError('forbidden-key', `a key reaches for a prototype (${key})`);
      }
      if (typeof item === 'object' && item !== null) pending.push(item);
    }
  }
}

const hasPrototypeKey = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype');
