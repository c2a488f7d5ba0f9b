import { type RequestLine, RestApiAbortedError } from '../errors.ts';
import { assertObject } from '../util/assert-object.ts';
import { deferred } from '../util/deferred.ts';
import { throughAxios } from './axios-way.ts';
import { Deadline } from './deadline.ts';
import { statusError } from './failure.ts';
import type { ResponseFormatter, RestResponse } from './formatter.ts';
import { positiveMs, type ResolvedRestClientOptions } from './options.ts';
import { Pipeline } from './pipeline.ts';
import { type Home, limitedBody, type Prepared, prepare } from './prepare.ts';
import { refusal, whyNotFollowed } from './redirect.ts';
import type { RequestOptions } from './request-options.ts';
import { decompressed, readBody, readErrorBody } from './response-body.ts';
import { sendingStream } from './sent-stream.ts';
import { BaseUrl } from './target.ts';
import { type Call, type Outgoing, type Received, Transport } from './transport.ts';

const isSuccess = (status: number): boolean => status >= 200 && status < 300;

/** Carries out calls: prepares the request, sends it (by way of axios when it has an option for it), reads the answer. */
export class Performer {
  readonly #options: ResolvedRestClientOptions;
  readonly #home: Home;
  readonly #transport: Transport;
  readonly #pipeline: Pipeline;
  #underWay = 0;
  #closing: Promise<void> | undefined;
  readonly #drained = deferred();

  constructor(options: ResolvedRestClientOptions) {
    this.#options = options;
    this.#home = { base: new BaseUrl(options.host), headers: options.headers };
    this.#transport = new Transport(options);
    this.#pipeline = new Pipeline(this.#transport.send, this.#home.base, this.#options);
  }

  /** @param formatterOf chosen where the request names none */
  perform(method: string, path: string, options: RequestOptions, formatterOf: FormatterOf): Promise<unknown> {
    const isLate = this.#closing !== undefined;
    this.#underWay += 1;
    const asked: Asked = { options, formatterOf, isLate };
    return sendingStream(options?.data, () => this.#perform(method, path, asked));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** A call may be between two requests: its login and itself, or two attempts. */
  async #close(): Promise<void> {
    if (this.#underWay > 0) await this.#drained.promise;
    await this.#transport.close();
  }

  /** As few promises as can be: each layer of them costs a request its share. */
  async #perform(method: string, path: string, { options, formatterOf, isLate }: Asked): Promise<unknown> {
    let call: Call | undefined;
    try {
      assertObject('options', options);
      const format = options.responseFormatter ?? formatterOf(options);
      const timeoutMs =
        options.timeoutMs === undefined ? this.#options.timeoutMs : positiveMs(options.timeoutMs, 'timeoutMs');
      const prepared = await prepare(this.#home, method, path, options, format.responseType);
      if (isLate) {
        const cause = new Error('the client was closed');
        throw new RestApiAbortedError({ method, url: prepared.request.target.url }, { cause });
      }
      call = {
        deadline: new Deadline(timeoutMs, options.signal),
        maxBytes: mostBytes(options.maxContentLength, this.#options.maxResponseBytes),
      };
      const response = prepared.axiosOptions
        ? await this.#withAxios(prepared, call)
        : await this.#exchange(prepared, call);
      return await format(response);
    } finally {
      call?.deadline.dispose();
      this.#underWay -= 1;
      if (this.#closing && this.#underWay === 0) this.#drained.resolve();
    }
  }

  /** With us as the adapter of axios. What that rejects with, axios passes on as it is. */
  async #withAxios(prepared: Prepared, call: Call): Promise<RestResponse> {
    const { axiosOptions: options = {}, raw } = prepared;
    const { method, target, headers } = prepared.request;
    // An answer that is to be transformed is not parsed before.
    const type = options.transformResponse && prepared.type !== 'arraybuffer' ? 'text' : prepared.type;
    let response: RestResponse | undefined;
    const data = await throughAxios({
      options,
      method,
      url: target.url,
      headers,
      raw,
      send: async (made) => {
        let { request } = prepared;
        if (made) {
          const { contentType } = made.body;
          const body = limitedBody(made.body.body, options.maxBodyLength);
          const typed = contentType === undefined ? {} : { 'content-type': contentType };
          request = { ...request, body, headers: { ...typed, ...made.headers } };
        }
        response = await this.#exchange({ ...prepared, request, type }, call);
        return response;
      },
    });
    return { ...(response as RestResponse), data };
  }

  /** Sends the request and reads the answer, whose status must be one of success. */
  async #exchange({ request, type, axiosOptions = {} }: Prepared, call: Call): Promise<RestResponse> {
    const { decompress = false, validateStatus = isSuccess, maxRedirects = 0 } = axiosOptions;
    const received = await this.#pipeline.send(maxRedirects)(request, call);
    const { statusCode: status, statusText, headers, target } = received;
    const limits = { decompress, maxBytes: call.maxBytes };
    const line: RequestLine = { method: request.method, url: target.url };
    if (validateStatus && !validateStatus(status)) throw await this.#refused(request, received, line, limits);
    const isEncoded = headers['content-encoding'] !== undefined;
    const body = isEncoded ? await decompressed(received, line, limits) : received.body;
    const data = readBody(body, received, line, request.method === 'HEAD' ? undefined : type);
    return { status, statusText, headers, data, method: request.method, url: target.url };
  }

  async #refused(request: Outgoing, received: Received, line: RequestLine, limits: Limits): Promise<Error> {
    const { statusCode, target } = received;
    if (statusCode >= 300 && statusCode < 400) {
      return refusal({ ...request, target }, received, whyNotFollowed(received));
    }
    return statusError(line, { statusCode, body: await readErrorBody(received, line, limits) });
  }
}

type FormatterOf = (options: RequestOptions) => ResponseFormatter;

interface Asked {
  readonly options: RequestOptions;
  readonly formatterOf: FormatterOf;
  /** After the client was closed. */
  readonly isLate: boolean;
}

interface Limits {
  readonly decompress: boolean;
  readonly maxBytes: number;
}

/** Axios has -1 for "no limit"; ours stays. */
function mostBytes(given: number | undefined, limit: number): number {
  return given === undefined || given < 0 ? limit : given;
}
