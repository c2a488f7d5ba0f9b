import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import {
  MalformedMessageError,
  type RequestLine,
  RestApiResponseTooLargeError,
  RestApiUnreadableResponseError,
} from '../errors.ts';
import { codeOf } from '../util/thrown.ts';
import { decodeJson } from '../wire/json.ts';
import { isJsonType } from './media-type.ts';
import type { Received } from './transport.ts';

export const RESPONSE_TYPES = ['json', 'text', 'arraybuffer'] as const;
export type ResponseType = (typeof RESPONSE_TYPES)[number];

const DECODERS = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
} as const;

/** What we can decode, for `Accept-Encoding`. */
export const ACCEPTED_ENCODINGS = 'gzip, deflate, br';

const DEPTH = 64;

/**
 * The body without its content encoding, of at most `maxBytes`: a bomb is stopped where it passes them. An encoding that
 * was not asked for is refused.
 * @throws RestApiUnreadableResponseError, RestApiResponseTooLargeError
 */
export async function decompressed(
  received: Received,
  line: RequestLine,
  { decompress, maxBytes }: { readonly decompress: boolean; readonly maxBytes: number },
): Promise<Buffer> {
  const encoding = received.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  const { body } = received;
  if (encoding === 'identity' || encoding === '' || body.length === 0) return body;
  const decode = isKnown(encoding) ? DECODERS[encoding] : undefined;
  if (!decode || !decompress) {
    const todo = decode ? 'say decompress: true to take it' : `of compressed ones only ${ACCEPTED_ENCODINGS} are taken`;
    throw new RestApiUnreadableResponseError(
      line,
      `its content encoding is ${JSON.stringify(encoding.slice(0, 40))}; ${todo}`,
    );
  }
  try {
    return await decode(body, { maxOutputLength: maxBytes });
  } catch (cause) {
    if (isTooLarge(cause)) throw new RestApiResponseTooLargeError(line, maxBytes, { cause });
    throw new RestApiUnreadableResponseError(line, `it is no valid ${encoding}`, { cause });
  }
}

const isKnown = (encoding: string): encoding is keyof typeof DECODERS => Object.hasOwn(DECODERS, encoding);

const isTooLarge = (error: unknown): boolean => codeOf(error) === 'ERR_BUFFER_TOO_LARGE';

/**
 * The body as `responseType` says; without one parsed when the content type is JSON, else text.
 * @returns undefined for an empty body
 * @throws RestApiUnreadableResponseError
 */
export function readBody(body: Buffer, received: Received, line: RequestLine, type: ResponseType | undefined): unknown {
  if (body.length === 0) return undefined;
  if (type === 'arraybuffer') return body;
  if (type === 'text') return body.toString();
  return type === 'json' || isJsonType(received.headers['content-type'])
    ? parseJson(body, received, line)
    : body.toString();
}

/** @throws MalformedMessageError */
export const decodeAnswer = (body: Buffer): unknown =>
  decodeJson(body, { bodyBytes: Number.MAX_SAFE_INTEGER, depth: DEPTH, keys: Number.MAX_SAFE_INTEGER });

function parseJson(body: Buffer, { statusCode }: Received, line: RequestLine): unknown {
  try {
    return decodeAnswer(body);
  } catch (cause) {
    const reason = cause instanceof MalformedMessageError ? cause.reason : 'not-json';
    const answer = { statusCode, body: body.toString() };
    throw new RestApiUnreadableResponseError(line, `its JSON is refused (${reason})`, { answer });
  }
}

/** The body of an answer that is an error already: read as far as it can be. */
export async function readErrorBody(
  received: Received,
  line: RequestLine,
  limits: { readonly decompress: boolean; readonly maxBytes: number },
): Promise<unknown> {
  try {
    const body = await decompressed(received, line, limits);
    try {
      return readBody(body, received, line, undefined);
    } catch {
      return body.toString();
    }
  } catch {
    return undefined;
  }
}
