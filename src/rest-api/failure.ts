import {
  type Answer,
  type RequestLine,
  RestApiBadGatewayError,
  RestApiBadRequestError,
  RestApiClientError,
  RestApiForbiddenError,
  RestApiGatewayTimeoutError,
  RestApiNotFoundError,
  RestApiServerError,
  RestApiUnauthorizedError,
} from '../errors.ts';

type StatusError = new (request: RequestLine, answer: Answer) => RestApiClientError | RestApiServerError;

/** Statuses with a class of their own. */
const BY_STATUS = new Map<number, StatusError>([
  [400, RestApiBadRequestError],
  [401, RestApiUnauthorizedError],
  [403, RestApiForbiddenError],
  [404, RestApiNotFoundError],
  [502, RestApiBadGatewayError],
  [504, RestApiGatewayTimeoutError],
]);

/** The error for an answer that is none of success and none of redirection. */
export function statusError(request: RequestLine, answer: Answer): RestApiClientError | RestApiServerError {
  const { statusCode } = answer;
  const ByClass = statusCode >= 400 && statusCode < 500 ? RestApiClientError : RestApiServerError;
  return new (BY_STATUS.get(statusCode) ?? ByClass)(request, answer);
}
