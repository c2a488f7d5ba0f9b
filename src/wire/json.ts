import { isUtf8 } from 'node:buffer';
import { types } from 'node:util';
import { MalformedMessageError, UnserialisablePayloadError } from '../errors.ts';
import { keepExactIds } from '../util/exact-ids.ts';
import { isError, messageOf } from '../util/thrown.ts';
import { withArticle } from '../util/with-article.ts';

/**
 * Bounds on a body: on a received one, looked at before anything is made of it (SECURITY: depth and size bombs), and on
 * one that is to be sent, since receivers with the same settings would refuse it.
 */
export interface JsonLimits {
  /** @default 16 MiB */
  readonly bodyBytes: number;
  /** Nesting of arrays and objects. @default 64 */
  readonly depth: number;
  /** Keys of all objects together. @default 10_000 */
  readonly keys: number;
}

export const DEFAULT_JSON_LIMITS: JsonLimits = Object.freeze({ bodyBytes: 16 * 1024 * 1024, depth: 64, keys: 10_000 });

/** Receivers count the envelope around a payload as well: so much of their limits is its own, at most. */
const ENVELOPE = Object.freeze({ depth: 2, keys: 8 });
const DEFAULT_DEPTH = DEFAULT_JSON_LIMITS.depth - ENVELOPE.depth;

/**
 * A value as JSON text. Properties that are `undefined` are left out, as JSON.stringify does; every other value that
 * JSON would change silently is refused: undefined elsewhere, NaN, Infinity, functions, symbols, and objects that hold what
 * they are out of its sight (`EMPTIED`).
 * @param path names the value in the error, e.g. `payload`
 * @param depth how deep it may be. @default 62: a message's default limit, less its envelope
 * @throws UnserialisablePayloadError (SVC_COMM_UNSERIALISABLE_PAYLOAD) with the path to the value
 */
export function encodeJson(value: unknown, path = 'payload', depth = DEFAULT_DEPTH): string {
  if (!isPlainJson(value, depth)) assertSerialisable(value, { path, depth, ancestors: [] });
  try {
    return JSON.stringify(value);
  } catch (error) {
    throw new UnserialisablePayloadError(path, messageOf(error), {
      cause: error,
    });
  }
}

/**
 * `encodeJson` of what is a part of a message.
 * @param limits those of its receivers: what they would refuse is refused
 */
export function encodePart(value: unknown, path: string, { depth, keys }: JsonLimits): string {
  const text = encodeJson(value, path, depth - ENVELOPE.depth);
  assertReceivable(text, path, keys - ENVELOPE.keys);
  return text;
}

/** Texts are rarely parsed for it: those with many keys, or what may be the one that reaches for a prototype. */
function assertReceivable(text: string, path: string, keys: number): void {
  if (!mayHaveMoreKeys(text, keys) && !text.includes('"prototype"')) return;
  try {
    assertKeys(JSON.parse(text), keys);
  } catch (error) {
    if (!(error instanceof MalformedMessageError)) throw error;
    const why =
      error.reason === 'too-many-keys' ? `it has more than ${keys} keys` : 'it has a key "constructor.prototype"';
    throw new UnserialisablePayloadError(path, `${why}, which receivers refuse`);
  }
}

/** `":` follows each key. Texts may hold it as well, so there can be fewer. */
function mayHaveMoreKeys(text: string, limit: number): boolean {
  if (text.length <= limit * SHORTEST_KEY) return false;
  let count = 0;
  for (let at = text.indexOf('":'); at !== -1 && count <= limit; at = text.indexOf('":', at + 2)) count += 1;
  return count > limit;
}

/** `"":0,` */
const SHORTEST_KEY = 5;

/**
 * Whether a value is JSON through and through. Nearly every one is, and needs no names of its parts; what is left over
 * (also what is merely unusual, such as a toJSON of its own) goes to `assertSerialisable`, which decides.
 */
/** @param depth how deep it may be */
function isPlainJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  // A value that contains itself is deeper than any limit.
  if (typeof value !== 'object' || depth <= 0 || hasToJson(value)) return false;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isPlainJson(value[i], depth - 1)) return false;
    return true;
  }
  const isOfLiteral = Object.getPrototypeOf(value) === Object.prototype;
  if (!isOfLiteral && isEmptied(value, Object.keys(value))) return false;
  let isEmpty = true;
  // Inherited keys as well, if somebody gave the prototype any: these are checked in vain.
  for (const key in value) {
    isEmpty = false;
    const item = (value as Record<string, unknown>)[key];
    if (key === '__proto__' || (item !== undefined && !isPlainJson(item, depth - 1))) return false;
  }
  return !isEmpty || !isOfLiteral || !isMoreThanKeys(value);
}

/** Where a value stands in what is written. */
interface Place {
  readonly path: string;
  /** How deep it all may be. */
  readonly depth: number;
  readonly ancestors: readonly object[];
}

function assertSerialisable(value: unknown, place: Place): void {
  const { path, depth, ancestors } = place;
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new UnserialisablePayloadError(path, `${value} is no JSON number`);
    return;
  }
  if (typeof value !== 'object') throw new UnserialisablePayloadError(path, `it is ${describe(value)}`);
  if (ancestors.includes(value)) throw new UnserialisablePayloadError(path, 'it contains itself');
  if (hasToJson(value)) {
    assertSerialisesItself(value, place);
    return;
  }
  if (!Array.isArray(value) && isEmptied(value, Object.keys(value))) {
    throw new UnserialisablePayloadError(path, `${withArticle(classOf(value))} would be written as {}`);
  }
  if (ancestors.length >= depth) {
    throw new UnserialisablePayloadError(path, `it is nested deeper than ${depth}, which receivers refuse`);
  }
  const inside = { depth, ancestors: [...ancestors, value] };
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) assertSerialisable(value[i], { ...inside, path: `${path}[${i}]` });
  } else {
    for (const key of Object.keys(value)) {
      if (key === '__proto__')
        throw new UnserialisablePayloadError(path, 'it has a key "__proto__", which receivers refuse');
      const item = (value as Record<string, unknown>)[key];
      if (item !== undefined) assertSerialisable(item, { ...inside, path: `${path}.${key}` });
    }
  }
}

function assertSerialisesItself(value: { toJSON(): unknown }, place: Place): void {
  const { path, ancestors } = place;
  let written: unknown;
  try {
    written = value.toJSON();
  } catch (error) {
    throw new UnserialisablePayloadError(path, 'its toJSON threw', { cause: error });
  }
  if (types.isDate(value) && written === null) throw new UnserialisablePayloadError(path, 'it is an invalid Date');
  if (written !== value) assertSerialisable(written, { ...place, ancestors: [...ancestors, value] });
}

/** What they are is not in their properties; a Promise is one that nobody awaited. Of whichever realm: see `isError`. */
const EMPTIED = [
  types.isMap,
  types.isSet,
  types.isWeakMap,
  types.isWeakSet,
  types.isPromise,
  isError,
  types.isRegExp,
  types.isAnyArrayBuffer,
] as const;

/** @param keys of the value, which is no array */
function isEmptied(value: object, keys: readonly string[]): boolean {
  if (keys.length === 0 && isMoreThanKeys(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype !== Object.prototype && prototype !== null && EMPTIED.some((is) => is(value));
}

/**
 * Whether what has no properties is something all the same: an iterator, a generator, a stream, or what an engine or a
 * platform has a name for (URLSearchParams, Headers, FormData, a Blob, a DataView). A class of the user's own that can be
 * iterated and has properties is written as these.
 */
const isMoreThanKeys = (value: object): boolean =>
  (Symbol.iterator in value || Symbol.asyncIterator in value || tagOf(value) !== 'Object') &&
  !types.isTypedArray(value) &&
  !types.isBoxedPrimitive(value);

const tagOf = (value: object): string => Object.prototype.toString.call(value).slice('[object '.length, -1);

/** Iterators and generators have no class, or not one that says anything. */
function classOf(value: object): string {
  const kind: unknown = value.constructor;
  return typeof kind === 'function' && kind !== Object && kind.name ? kind.name : tagOf(value);
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
    throw new MalformedMessageError('not-json', messageOf(error), {
      cause: error,
    });
  }
  if (body.byteLength > limits.keys * SHORTEST_KEY || mayReachPrototype(text)) assertKeys(value, limits.keys);
  keepExactIds(value, text);
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
