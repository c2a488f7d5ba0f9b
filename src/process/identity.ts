import { createHash } from 'node:crypto';
import { validate as isUuid, v5 as uuidv5, v7 as uuidv7 } from 'uuid';
import { InvalidArgumentError } from '../errors.ts';
import { assertObject, kindOf } from '../util/assert-object.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import { encodeJson } from '../wire/json.ts';
import type { CreateOptions } from './processes.ts';
import { MAX_REQUEST_DEPTH } from './request.ts';

/** By what the same request is known again. */
export interface InstanceIdentity {
  /** A UUID in small letters. */
  readonly id: string;
  readonly submitter: string;
  readonly fingerprint: string;
  /** As it travels: what becomes of the one that was given is none of ours. */
  readonly body: unknown;
}

/** Names made of idempotency keys (RFC 9562 §5.5). */
const KEY_NAMESPACE = '8f0f6f3e-5f0c-4c53-9f5b-6d2f6a3f1b60';
/** Tasks take no longer texts either. */
const MAX_TEXT = 255;

/** @throws InvalidArgumentError, UnserialisablePayloadError */
export function identityOf(processId: string, body: unknown, options: CreateOptions): InstanceIdentity {
  assertObject('options', options);
  const { submitter = '', idempotencyKey, request = {} } = options;
  assertObject('request', request);
  if (typeof submitter !== 'string' || submitter.length > MAX_TEXT || submitter.includes('\0')) {
    throw new InvalidArgumentError(
      'submitter',
      `a text of at most ${MAX_TEXT} characters without NUL`,
      given(submitter),
    );
  }
  const id = String(options.id ?? idOfKey(processId, submitter, idempotencyKey)).toLowerCase();
  if (!isUuid(id)) throw new InvalidArgumentError('id', 'a UUID', JSON.stringify(id).slice(0, 80));
  const text = body === undefined ? undefined : encodeJson(body, 'request.body', MAX_REQUEST_DEPTH);
  const travels: unknown = text === undefined ? undefined : JSON.parse(text);
  return { id, submitter, body: travels, fingerprint: fingerprintOf(processId, travels) };
}

function idOfKey(processId: string, submitter: string, key: string | undefined): string {
  if (key === undefined) return uuidv7();
  // Of an empty one, which a variable that is not set makes, unrelated requests would be the same.
  if (typeof key !== 'string' || key === '' || key.length > MAX_TEXT) {
    throw new InvalidArgumentError('idempotencyKey', `a text of 1 to ${MAX_TEXT} characters`, given(key));
  }
  return uuidv5(JSON.stringify([processId, submitter, key]), KEY_NAMESPACE);
}

const given = (value: unknown): string =>
  typeof value === 'string' ? `one of ${value.length} characters` : kindOf(value);

/** Of the body as it travels: a Date has no members by which it were another than the next one. */
const fingerprintOf = (processId: string, body: unknown): string =>
  createHash('sha256')
    .update(`${processId}\n${canonicalJson(body)}`)
    .digest('hex');
