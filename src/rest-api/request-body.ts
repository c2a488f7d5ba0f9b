import { Readable } from 'node:stream';
import { InvalidArgumentError } from '../errors.ts';
import { kindOf } from '../util/assert-object.ts';
import { encodeJson } from '../wire/json.ts';
import { assertOpen, encodePairs } from './query.ts';
import type { Outgoing } from './transport.ts';

/** A file to be sent: its content alone, or with a name and a media type. */
export type FileContent = Blob | Uint8Array | string;
export type FileToSend =
  | FileContent
  | { readonly content: FileContent; readonly name?: string; readonly type?: string };

export interface EncodedBody {
  readonly body: Outgoing['body'];
  /** undefined: for the caller to say. */
  readonly contentType: string | undefined;
}

export interface BodyParts {
  readonly json: unknown;
  readonly data: unknown;
  readonly files: Readonly<Record<string, FileToSend | readonly FileToSend[]>> | undefined;
}

const NO_BODY: EncodedBody = Object.freeze({ body: undefined, contentType: undefined });

/**
 * `json` is written as JSON; `data` is sent as it is (text, bytes, a stream) or as a form (an object, FormData);
 * `files` make a multipart form of which `data` are further fields. A multipart form is held in memory.
 * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT), UnserialisablePayloadError (SVC_COMM_UNSERIALISABLE_PAYLOAD)
 */
export function encodeBody({ json, data, files }: BodyParts): EncodedBody | Promise<EncodedBody> {
  if (json !== undefined) {
    if (data !== undefined || files) throw new InvalidArgumentError('json', 'json alone, or data and files', 'both');
    return { body: encodeJson(json, 'json'), contentType: 'application/json' };
  }
  if (files) return encodeForm(multipart(data, files));
  return encodeData(data);
}

/** A body of its own form, as `data` is, or what an axios `transformRequest` made. */
export function encodeData(data: unknown): EncodedBody | Promise<EncodedBody> {
  if (data === undefined || data === null) return NO_BODY;
  if (typeof data === 'string' || Buffer.isBuffer(data)) return { body: data, contentType: undefined };
  if (ArrayBuffer.isView(data)) return { body: bytes(data), contentType: undefined };
  if (data instanceof ArrayBuffer) return { body: Buffer.from(data), contentType: undefined };
  if (data instanceof Readable) return { body: data, contentType: undefined };
  if (data instanceof URLSearchParams) return form(data);
  if (data instanceof FormData) return encodeForm(data);
  if (data instanceof Blob) return encodeBlob(data);
  return form(encodePairs(data, 'data'));
}

const form = (pairs: URLSearchParams): EncodedBody => ({
  body: pairs.toString(),
  contentType: 'application/x-www-form-urlencoded;charset=utf-8',
});

function multipart(data: unknown, files: NonNullable<BodyParts['files']>): FormData {
  const result = new FormData();
  // The caller's own form stays as it is: the files would be in it twice when it is sent again.
  for (const [name, value] of fieldsOf(data)) {
    if (typeof value === 'string') result.append(name, value);
    else result.append(name, value, value.name);
  }
  assertOpen(files, 'files');
  for (const [field, given] of Object.entries(files)) {
    for (const file of Array.isArray(given) ? given : [given]) appendFile(result, field, file);
  }
  return result;
}

function fieldsOf(data: unknown): Iterable<[string, string | File]> {
  if (data === undefined || data === null) return [];
  if (data instanceof FormData || data instanceof URLSearchParams) return data.entries();
  return encodePairs(data, 'data');
}

function appendFile(target: FormData, field: string, file: FileToSend): void {
  const isBare = typeof file === 'string' || file instanceof Blob || file instanceof Uint8Array;
  const { content, name, type = '' } = isBare ? { content: file, name: undefined } : (file ?? {});
  if (typeof content !== 'string' && !(content instanceof Blob) && !(content instanceof Uint8Array)) {
    throw new InvalidArgumentError(
      `files.${field}`,
      'a text, a Buffer, a Blob, or { content, name, type }',
      kindOf(content),
    );
  }
  const blob = content instanceof Blob && type === '' ? content : new Blob([part(content)], { type });
  target.append(field, blob, name ?? (content instanceof File ? content.name : field));
}

const part = (content: FileContent): string | Blob | Uint8Array<ArrayBuffer> =>
  content instanceof Uint8Array ? new Uint8Array(content) : content;

/** The platform knows how to write a multipart form; in memory, so that it can be sent again after a 401. */
async function encodeForm(data: FormData): Promise<EncodedBody> {
  const written = new Response(data);
  const contentType = written.headers.get('content-type') ?? undefined;
  return { body: Buffer.from(await written.arrayBuffer()), contentType };
}

async function encodeBlob(blob: Blob): Promise<EncodedBody> {
  return { body: Buffer.from(await blob.arrayBuffer()), contentType: blob.type === '' ? undefined : blob.type };
}

const bytes = (data: ArrayBufferView): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
