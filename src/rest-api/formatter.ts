import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { MalformedMessageError, RestApiUnreadableResponseError } from '../errors.ts';
import { camelCaseKeys, snakeCaseKeys } from './casing.ts';
import { isJsonType } from './media-type.ts';
import { decodeAnswer } from './response-body.ts';

/** An answer, as response formatters get it and `fullResponse` gives it. It holds nothing of the request but its line. */
export interface RestResponse<Data = unknown> {
  readonly status: number;
  readonly statusText: string;
  /** Names in lower case. */
  readonly headers: Readonly<IncomingHttpHeaders>;
  /** Parsed when it is JSON, else text; by `responseType` when the request has one. undefined when there is no body. */
  readonly data: Data;
  readonly method: string;
  /** Without query. */
  readonly url: string;
}

/** Which of a request's parts a request formatter is given. */
export type RequestPart = 'params' | 'json' | 'data';

/** Makes of `params`, `json` or `data` what is sent. */
export type RequestFormatter = (value: unknown, part: RequestPart) => unknown;

/** Makes of an answer what the call returns. */
export interface ResponseFormatter<Result = unknown> {
  (response: RestResponse): Result | Promise<Result>;
  /** How the body is to be read for it, unless the request says so. */
  readonly responseType?: 'json' | 'text' | 'arraybuffer';
}

/** Sends values as they are: the default. */
export const jsonRequest: RequestFormatter = (value) => value;

/** Sends keys of plain objects in snake_case: `{ userId: 1 }` as `{ "user_id": 1 }`. Values are not touched. */
export const snakeCaseRequest: RequestFormatter = (value) => snakeCaseKeys(value);

/**
 * The body parsed as JSON, undefined when there is none: the default of all methods but `head`.
 * @throws RestApiUnreadableResponseError (SVC_COMM_REST_UNREADABLE_RESPONSE)
 */
export const jsonResponse: ResponseFormatter = (response) => {
  const { data, method, url, status } = response;
  const type = response.headers['content-type'];
  if (typeof data !== 'string' || isJsonType(type)) return data;
  try {
    return decodeAnswer(Buffer.from(data));
  } catch (cause) {
    const isNone = !(cause instanceof MalformedMessageError) || cause.reason === 'not-json';
    const what = isNone ? 'it is no JSON' : `its JSON is refused (${cause.reason})`;
    const detail = `its content type is ${type ?? 'not given'} and ${what}; say responseType: 'text' to get it as it is`;
    throw new RestApiUnreadableResponseError({ method, url }, detail, {
      cause,
      answer: { statusCode: status, body: data },
    });
  }
};

/** The body parsed as JSON, with keys in camelCase: `{ "user_id": 1 }` as `{ userId: 1 }`. Values are not touched. */
export const camelCaseResponse: ResponseFormatter = async (response) => camelCaseKeys(await jsonResponse(response));

/** The body's bytes as a `File`, named by `Content-Disposition`, else by the last part of the path. */
export const fileResponse: ResponseFormatter<File> = Object.assign(
  (response: RestResponse): File => {
    const bytes = response.data instanceof Uint8Array ? [new Uint8Array(response.data)] : [];
    const type = response.headers['content-type'] ?? '';
    return new File(bytes, fileName(response), { type });
  },
  { responseType: 'arraybuffer' } as const,
);

/** The answer itself: status, headers and data. The default of `head`. */
export const fullResponse: ResponseFormatter<RestResponse> = (response) => response;

/** RFC 6266. Folders in the name would be the server's choice of a place on our disk, so they are cut off. */
function fileName({ headers, url }: RestResponse): string {
  const disposition = fromUtf8(headers['content-disposition'] ?? '');
  const extended = /;\s*filename\*\s*=\s*UTF-8'[^']*'([^;\s]+)/i.exec(disposition)?.[1];
  const plain = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(disposition);
  const given =
    decoded(extended) ?? plain?.[1]?.replaceAll(/\\(.)/g, '$1') ?? plain?.[2] ?? decoded(url.split('/').at(-1));
  const name =
    given
      ?.split(/[/\\]/)
      .at(-1)
      ?.replaceAll(/\p{Cc}/gu, '') ?? '';
  return name === '' || name === '.' || name === '..' ? 'file' : name;
}

/** Headers come as Latin-1; names in them are mostly UTF-8, as browsers read them. Whatever is none stays as it is. */
function fromUtf8(latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1');
  return isUtf8(bytes) ? bytes.toString() : latin1;
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    return text;
  }
}
