import { STATUS_CODES } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import {
  BrokerUnavailableError,
  DatabaseAccessRefusedError,
  DatabaseBusyError,
  DatabaseUnavailableError,
  DiscoveryUnavailableError,
  InstanceNotFoundError,
  InvalidArgumentError,
  InvalidProcessInputError,
  InvalidTaskArgumentsError,
  MalformedMessageError,
  NotRunningError,
  OverMaxConcurrencyError,
  ProcessConflictError,
  SvcCommError,
  TaskConflictError,
  TaskNotFoundError,
  UnknownProcessError,
  UnknownServiceError,
  UnknownTaskError,
  UnserialisablePayloadError,
} from '../errors.ts';
import { isError } from '../util/thrown.ts';

export interface ProblemExtras {
  /** Seconds. */
  readonly retryAfter?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Further members of the answer, besides those that every problem has. */
  readonly members?: Readonly<Record<string, unknown>>;
}

/** An answer that says what is wrong with a request (RFC 9457). It is thrown and sent; nobody catches it by its class. */
export class HttpProblem extends Error {
  readonly statusCode: number;
  readonly extras: ProblemExtras;
  constructor(statusCode: number, detail: string, extras: ProblemExtras = {}) {
    super(detail);
    this.statusCode = statusCode;
    this.extras = extras;
  }
}

const RETRY_SECONDS = 5;

/** What a failure of ours, of fastify or of a handler is to the caller. No stack, and of our own faults no text. */
export function problemOf(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (error instanceof SvcCommError) {
    const members = { code: error.code };
    if (error instanceof InvalidTaskArgumentsError) {
      return new HttpProblem(400, error.message, { members: { ...members, problems: error.problems } });
    }
    if (error instanceof InvalidProcessInputError) {
      return new HttpProblem(422, error.message, { members: { ...members, errors: error.problems } });
    }
    if (error instanceof OverMaxConcurrencyError) {
      return new HttpProblem(503, error.message, { members, retryAfter: 1 });
    }
    if (isUnavailable(error)) {
      return new HttpProblem(503, 'it cannot be done at the moment: try again later', {
        members,
        retryAfter: RETRY_SECONDS,
      });
    }
    const status = statusOf(error);
    if (status !== undefined) return new HttpProblem(status, error.message, { members });
  }
  const status = fastifyStatus(error);
  if (status !== undefined) return new HttpProblem(status, isError(error) ? error.message : '');
  return new HttpProblem(500, 'something went wrong here; it is in the log of the server');
}

const isUnavailable = (error: SvcCommError): boolean =>
  error instanceof BrokerUnavailableError ||
  error instanceof DiscoveryUnavailableError ||
  error instanceof DatabaseUnavailableError ||
  error instanceof DatabaseAccessRefusedError ||
  error instanceof DatabaseBusyError ||
  error instanceof NotRunningError;

function statusOf(error: SvcCommError): number | undefined {
  if (error instanceof MalformedMessageError) {
    return error.reason === 'not-json' || error.reason === 'forbidden-key' ? 400 : 413;
  }
  if (error instanceof InvalidArgumentError || error instanceof UnserialisablePayloadError) return 400;
  if (error instanceof UnknownTaskError || error instanceof TaskNotFoundError) return 404;
  if (error instanceof UnknownProcessError || error instanceof InstanceNotFoundError) return 404;
  if (error instanceof UnknownServiceError) return 404;
  if (error instanceof TaskConflictError) return 422;
  if (error instanceof ProcessConflictError) return 409;
  return undefined;
}

/** Of an error that fastify made of the request: too long a body, a length that is wrong. */
function fastifyStatus(error: unknown): number | undefined {
  if (!isError(error) || !('statusCode' in error) || !('code' in error)) return undefined;
  const { statusCode, code } = error;
  const isTheirs = typeof code === 'string' && code.startsWith('FST_');
  return isTheirs && typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500 ? statusCode : undefined;
}

/** The answer, as `application/problem+json`. */
export function sendProblem(reply: FastifyReply, { statusCode, message, extras }: HttpProblem): FastifyReply {
  const { retryAfter, headers = {}, members = {} } = extras;
  if (retryAfter !== undefined) reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfter))));
  return reply
    .code(statusCode)
    .headers(headers)
    .type('application/problem+json')
    .send(
      JSON.stringify({
        ...members,
        type: 'about:blank',
        title: STATUS_CODES[statusCode] ?? 'Error',
        status: statusCode,
        detail: message,
      }),
    );
}

/** For `setErrorHandler`: the answer, and a line in the log for what is our own fault. */
export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = problemOf(error);
  // Who went away in the middle of a body gets no answer, and nothing is wrong here.
  if (problem.statusCode >= 500 && isFault(error) && !request.raw.readableAborted) {
    const { method, routeOptions } = request;
    request.log.error({ err: error, error, method, route: routeOptions.url }, 'a request could not be answered');
  }
  sendProblem(reply, problem);
}

/** No answer that was chosen, of a full task, a stop, or what is not there: callers would fill the log with them. */
const isFault = (error: unknown): boolean =>
  !(error instanceof HttpProblem) && !(error instanceof OverMaxConcurrencyError);

/** For `setNotFoundHandler`. */
export function answerNotFound(request: FastifyRequest, reply: FastifyReply): void {
  sendProblem(reply, new HttpProblem(404, `there is no ${request.method} ${pathOf(request.url)} here`));
}

const pathOf = (url: string): string => url.split('?', 1)[0]?.slice(0, 200) ?? '';
