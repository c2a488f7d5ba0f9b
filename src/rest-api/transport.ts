import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import { Agent, type Dispatcher } from 'undici';
import {
  MessageTooLargeError,
  type RequestLine,
  RestApiAbortedError,
  RestApiConnectionError,
  RestApiResponseTooLargeError,
} from '../errors.ts';
import { isError } from '../util/thrown.ts';
import type { Deadline } from './deadline.ts';
import { asNodeHasThem } from './headers.ts';
import type { Target } from './target.ts';

export type TlsOptions = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'servername'>;

/** A request as it goes over the wire, but for the token. */
export interface Outgoing {
  readonly method: string;
  readonly target: Target;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | Readable | undefined;
  /** Gets no token, wherever it goes. */
  readonly isAnonymous?: boolean;
}

/** Whether a body can be sent once only. */
export const isStream = (body: Outgoing['body']): body is Readable =>
  body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body);

/** The rules of one call. */
export interface Call {
  readonly deadline: Deadline;
  readonly maxBytes: number;
}

/** An answer as it came, its body in memory. */
export interface Received {
  readonly statusCode: number;
  readonly statusText: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Where it came from: another place than was asked, after redirects. */
  readonly target: Target;
}

/** Sends a request once or, in the layers around the transport, more often. */
export type Send = (request: Outgoing, call: Call) => Promise<Received>;

/** A server that takes the connection and no more is the deadline's business; this is for hosts that are not there. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Keep-alive connections, a pool for each origin; a pool goes when its last connection closes. */
export class Transport {
  readonly #agent: Agent;
  #closing: Promise<void> | undefined;

  constructor({ connections, tls }: { readonly connections: number; readonly tls: TlsOptions }) {
    this.#agent = new Agent({
      connections,
      pipelining: 1,
      // The deadline of the call covers both.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { ...tls, timeout: CONNECT_TIMEOUT_MS },
    });
  }

  /**
   * One exchange. It is never repeated here: a request whose first byte may have gone out ends in an error.
   * @throws RestApiConnectionError, RestApiTimeoutError, RestApiAbortedError, RestApiResponseTooLargeError
   */
  readonly send: Send = (request, call) =>
    new Promise((resolve, reject) => {
      const { method, target, headers, body } = request;
      const exchange = new Exchange(request, call, resolve, reject);
      call.deadline.watch(exchange.onDeadline);
      try {
        const options = { origin: target.origin, path: target.path, method, headers, body: body ?? null };
        this.#agent.dispatch(options as Dispatcher.DispatchOptions, exchange);
      } catch (error) {
        exchange.fail(error);
      }
    });

  /** Takes no more requests, waits for those under way (each has its deadline) and closes the connections. */
  close(): Promise<void> {
    this.#closing ??= this.#agent.close();
    return this.#closing;
  }
}

/** Collects one answer. Settles once; what comes later is thrown away. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #request: Outgoing;
  readonly #call: Call;
  readonly #resolve: (received: Received) => void;
  readonly #reject: (error: unknown) => void;
  readonly #chunks: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #isSettled = false;
  #bytes = 0;
  #head: Omit<Received, 'body' | 'target'> | undefined;

  constructor(request: Outgoing, call: Call, resolve: (received: Received) => void, reject: (error: unknown) => void) {
    this.#request = request;
    this.#call = call;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** The call is over at once, also while the request still waits for a connection: then nothing will be sent. */
  readonly onDeadline = (): void => this.#abort(this.#call.deadline.failure(this.#line));

  fail(cause: unknown): void {
    this.#settle(() => this.#reject(this.#failure(cause)));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isSettled) controller.abort(new Error('the call is over'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: IncomingHttpHeaders,
    statusText = '',
  ): void {
    // 100 Continue and 103 Early Hints come before the answer.
    if (statusCode < 200) return;
    this.#head = { statusCode, statusText, headers: asNodeHasThem(headers) };
    if (this.#request.method !== 'HEAD' && Number(headers['content-length']) > this.#call.maxBytes) this.#tooLarge();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#call.maxBytes) this.#tooLarge();
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    const head = this.#head;
    const [only] = this.#chunks;
    const body = this.#chunks.length === 1 && only ? only : Buffer.concat(this.#chunks);
    if (head) this.#settle(() => this.#resolve({ ...head, body, target: this.#request.target }));
    else this.fail(new Error('the answer has no status'));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(error);
  }

  get #line(): RequestLine {
    return { method: this.#request.method, url: this.#request.target.url };
  }

  #failure(cause: unknown): RestApiAbortedError | RestApiConnectionError | MessageTooLargeError {
    const detail = isError(cause) && cause.message !== '' ? cause.message : codeOf(cause);
    const { body } = this.#request;
    if (cause instanceof MessageTooLargeError) return cause;
    // Of a connection that breaks, the body hears after us.
    if (isStream(body) && body.errored === cause) {
      return new RestApiAbortedError(this.#line, { cause }, `was given up: the stream that it sends failed: ${detail}`);
    }
    if (CLOSED.has(codeOf(cause))) return new RestApiAbortedError(this.#line, { cause });
    // Bytes of the answer that could not be parsed, which loggers would write: a token may be among them.
    if (isError(cause) && 'data' in cause) Reflect.deleteProperty(cause, 'data');
    return new RestApiConnectionError(this.#line, detail, { cause });
  }

  #tooLarge(): void {
    this.#abort(new RestApiResponseTooLargeError(this.#line, this.#call.maxBytes));
  }

  #abort(error: Error): void {
    this.#settle(() => this.#reject(error));
    this.#controller?.abort(error);
  }

  #settle(settle: () => void): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    settle();
  }
}

/** The client was closed before the request, or under way. */
const CLOSED = new Set(['UND_ERR_CLOSED', 'UND_ERR_DESTROYED']);

/** An AggregateError of all addresses that were tried has no text of its own. */
const codeOf = (error: unknown): string => (isError(error) && 'code' in error ? String(error.code) : String(error));
